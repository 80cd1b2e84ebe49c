"""The light client of microgrids on Hyperledger Fabric: it believes what an endorsement policy's members attest."""
