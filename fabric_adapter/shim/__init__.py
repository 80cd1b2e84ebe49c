"""Python chaincode: what a chaincode is, and the server that a Fabric peer runs it by."""
