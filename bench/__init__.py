"""Measurements of a running testnet, made from outside with the client that everybody has."""
