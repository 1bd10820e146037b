"""A trained model for other runtimes: as one graph between stored embeddings and a price in currency units, or as an MLflow model."""
