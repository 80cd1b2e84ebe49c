"""The node of an organisation on a Fabric microgrid: follows its peer, answers queries, writes Ticks."""
