"""Product prices from stored embeddings of images and texts."""

__version__ = "0.1.0"
