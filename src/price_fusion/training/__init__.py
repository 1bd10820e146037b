"""The training compute: devices, features, the training loop, and what it leaves on disk."""
