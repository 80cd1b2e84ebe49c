"""A microgrid's chain on CometBFT: ABCI 2.0, transactions, modules, Merkle store, queries."""
