"""Prices of new products: from a checkpoint, from an ensemble, and from an exported model."""
