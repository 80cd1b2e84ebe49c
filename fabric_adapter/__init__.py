"""A microgrid on Hyperledger Fabric: the real network and an embedded ledger behind one interface."""
