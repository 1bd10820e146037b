"""Products that are in some tables and not in others."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import pandas as pd

from price_fusion.data.table import EmbeddingTable


def aligned(
    samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable], **rows: Any
) -> tuple[pd.DataFrame, dict[str, EmbeddingTable]]:
    """Products, and tables that know them at these rows, -1 where they do not, whatever their ids are.

    Args:
        samples: products; numbered from 0 if they have no ids.
        tables: one per source.
        rows: of the products, for some of the sources.
    """
    if "sample_id" not in samples:
        samples = samples.assign(sample_id=np.arange(len(samples)))
    ids = samples["sample_id"].tolist()
    found = dict(tables)
    for name, numbers in rows.items():
        found[name] = _at_rows(tables[name], dict(zip(ids, np.broadcast_to(numbers, len(ids)).tolist(), strict=True)))
    return samples, found


def _at_rows(table: EmbeddingTable, row_of: Mapping[Any, int]) -> EmbeddingTable:
    table = copy(table)
    table.rows_of = lambda ids: np.array([row_of[one] for one in np.asarray(ids).tolist()], np.int64)  # type: ignore[method-assign]
    return table
