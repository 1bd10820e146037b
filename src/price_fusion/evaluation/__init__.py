"""What is said of a model on rows that it was not fitted on, and the calibration of its intervals."""
