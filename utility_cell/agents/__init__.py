"""Agents: a cell's, and the utility cell's. Each turns what a chain shows into messages; `run` submits them."""
