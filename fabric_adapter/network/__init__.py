"""A real Hyperledger Fabric network on this machine, without containers."""
