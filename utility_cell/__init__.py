"""Off chain: the cells' agents and the utility cell. Reads chains, decides, sends signed transactions."""
