"""Floats about the grid: power flow, optimal power flow, state estimation, models.

No room that a chain runs imports it, and nothing computed here is believed: a chain checks it in integers
(`energy.grid`), or validators vote on it.
"""
