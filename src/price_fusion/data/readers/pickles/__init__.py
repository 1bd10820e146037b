"""Pickles that others made, read by an unpickler of our own in a process of its own: start at ``process.py``."""
