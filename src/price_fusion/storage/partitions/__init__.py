"""Tables in partitions on disk or in object stores: their parts, drafts and recipes."""
