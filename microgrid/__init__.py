"""What a microgrid's chain consists of, whatever ledger orders its transactions: accounts, modules, state, queries."""
