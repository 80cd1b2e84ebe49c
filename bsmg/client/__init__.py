"""The client side of a chain: keys, CometBFT RPC, typed queries, signing lanes, proofs and light blocks."""
