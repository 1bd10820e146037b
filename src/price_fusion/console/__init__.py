"""What a person sees in a terminal: the log, tables, errors."""
