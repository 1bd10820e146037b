"""Many members of a variant, trained as one batched model."""
