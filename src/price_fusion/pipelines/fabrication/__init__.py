"""Fabricate a sample: products, prices and embeddings that nobody has to download."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
