"""What is saved of a training run, and how it goes on from there as if it had never stopped."""
