"""The 07-tendermint light client: `verifier` judges headers purely, `client` keeps the states as ibc-go does."""
