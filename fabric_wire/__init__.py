"""Hyperledger Fabric on the wire: messages, identities, policies, proposals and proofs as bytes; a pure room."""
