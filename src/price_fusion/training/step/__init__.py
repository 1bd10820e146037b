"""One training step: from a batch to a loss, and from its gradient to new weights."""
