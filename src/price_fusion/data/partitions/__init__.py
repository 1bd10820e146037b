"""Tables in partitions, for data that does not fit in memory: partitioned parquet, in folders or object stores.

The partition of a product follows from its id alone (``order.py``), so what is known of a product in any table is in the
partition of one number, and whatever joins tables joins them partition by partition.
"""
