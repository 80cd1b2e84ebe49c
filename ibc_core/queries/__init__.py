"""Queries of ibc.core.*.v1: pure reads of one version of the store."""
