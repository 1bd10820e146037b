"""Readers of embeddings, one a format: each finds ids and vectors, and judges neither."""
