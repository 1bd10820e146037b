"""A trained network for other runtimes: everything between stored embeddings and a price in USD, in one graph."""
