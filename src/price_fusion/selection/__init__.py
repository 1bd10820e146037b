"""Choosing: cross-validation, tuning, ablation, comparison, leaks, and the final fit of what was chosen."""
