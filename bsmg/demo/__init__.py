"""The trading day: a testnet, agents that trade, something broken on purpose, and a report of what the chains say."""
