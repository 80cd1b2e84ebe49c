"""Carries packets between any two chains; knows no energy."""
