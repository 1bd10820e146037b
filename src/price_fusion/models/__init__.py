"""Models: networks, their features and checkpoints, and other estimators on the same features."""
