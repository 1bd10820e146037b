"""Tables in hash buckets, for data that does not fit in memory: partitioned parquet, in folders or object stores.

The bucket of a product follows from its id alone (``hashing.py``), so what is known of a product in any table is in the
bucket of one number, and whatever joins tables joins them bucket by bucket.
"""
