"""Train rows on their way to a step: from memory, in windows, or streamed from partitions."""
