"""Meter readings: signed by devices, continued by their counters, added up by cell for the settlement."""
