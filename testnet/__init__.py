"""Brings whole networks up and down, on one machine or many."""
