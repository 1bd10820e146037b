"""Which bucket an id belongs to: the same in Python, DuckDB and whatever else can compute an MD5.

The bucket is the last eight bytes of the MD5 of the id's text in UTF-8, as a little-endian unsigned number, modulo the
number of buckets. 123 and ``"123"`` are one product, and share a bucket. MD5 hides nothing here; it spreads ids evenly.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from price_fusion.data.ids import Ids

Numbers = NDArray[np.int32]


def bucket_sql(column: str, buckets: int) -> str:
    """The bucket of a column of ids, as an expression of DuckDB's SQL."""
    return f"(md5_number_lower(CAST({column} AS VARCHAR)) % {int(buckets)})::INTEGER"


def buckets_of(ids: Ids, buckets: int) -> Numbers:
    """Bucket of each id, (N,) int32 from 0 to ``buckets`` - 1."""
    import duckdb

    table = pa.table({"id": pa.array(ids)})
    with duckdb.connect() as connection:
        connection.register("ids", table)
        found = connection.sql(f"SELECT {bucket_sql('id', buckets)} AS bucket FROM ids").fetchnumpy()["bucket"]  # noqa: S608
    return np.asarray(found, dtype=np.int32)
