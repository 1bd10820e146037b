"""What is known of a run while it runs, and what is kept of it: its journal, its record, what its outputs are made from."""
