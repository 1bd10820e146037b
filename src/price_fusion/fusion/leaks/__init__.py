"""Leaks: products that are on two sides at once, sources that know prices, and what both do to SMAPE."""
