"""Files that are whole or absent, their digests, one writer a folder, and tables in partitions."""
