"""Queries of a microgrid's chain: one implementation behind gRPC, REST and ABCI Query."""
