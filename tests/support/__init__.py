"""What several test modules share beside fixtures."""
