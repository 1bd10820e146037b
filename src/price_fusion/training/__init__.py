"""The training engine: devices, features, the training loop, and what it leaves on disk."""
