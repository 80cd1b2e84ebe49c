"""The chaincode `microgrid`: a microgrid's whole chain (IBC, coins, market, trade) on a Fabric channel."""
