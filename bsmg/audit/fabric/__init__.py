"""What the audit checks of a Fabric microgrid: its ledger, by code of its own and the `cryptography` package."""
