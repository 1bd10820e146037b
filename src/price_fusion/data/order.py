"""The canonical order of products: by the hexadecimal MD5 of the id's text, wherever they are stored and in whatever order.

Partition ``p`` of ``P`` holds the products with ``(first 8 hex digits as a number * P) >> 32 == p``: a range of that order,
so that partitions read one after the other give the same order for every P. 123 and ``"123"`` are one product. MD5 hides
nothing here; it spreads ids evenly, and DuckDB, Python and most other tools compute it.
"""

from __future__ import annotations

from hashlib import md5

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.ids import Ids

Keys = NDArray[np.uint64]
"""(N, 2): the upper and the lower half of each id's MD5, so that they sort as its hexadecimal digits do."""


def canonical_keys(ids: Ids) -> Keys:
    """The number by which each of N ids is ordered; about a microsecond each."""
    digests = [md5(text.encode(), usedforsecurity=False).digest() for text in map(str, ids.tolist())]
    return np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 2).astype(np.uint64)


def canonical_order(ids: Ids) -> NDArray[np.int64]:
    """(N,) the places of ids in canonical order."""
    keys = canonical_keys(ids)
    return np.lexsort((keys[:, 1], keys[:, 0])).astype(np.int64, copy=False)


def partitions_of(ids: Ids, partitions: int) -> NDArray[np.int32]:
    """(N,) the partition of each id, from 0 to ``partitions`` - 1."""
    leading = canonical_keys(ids)[:, 0] >> np.uint64(32)
    return ((leading * np.uint64(partitions)) >> np.uint64(32)).astype(np.int32)


def key_sql(column: str) -> str:
    """The key of a column of ids as one UHUGEINT, an expression of DuckDB's SQL."""
    return f"('0x' || md5(CAST({column} AS VARCHAR)))::UHUGEINT"


def partition_sql(column: str, partitions: int) -> str:
    """The partition of a column of ids, as an expression of DuckDB's SQL."""
    leading = f"('0x' || md5(CAST({column} AS VARCHAR))[1:8])::UBIGINT"
    return f"(({leading} * {int(partitions)}::UBIGINT) >> 32)::INTEGER"
