"""ICS-23 proofs, light clients, ICS-02/03/04/24/26 handlers, the coin ledger and ICS-20. Pure; knows no energy."""
