"""Readers of product and embedding files, one a format, and what they have in common."""
