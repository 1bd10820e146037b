"""Tables in hash buckets on disk or in object stores: their parts, drafts and recipes."""
