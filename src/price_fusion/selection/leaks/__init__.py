"""Leaks: duplicates across splits, sources that leak prices, and what both do to SMAPE."""
