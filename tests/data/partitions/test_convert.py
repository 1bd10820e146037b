"""Tables in memory and in partitions hold the same values, whichever way they are converted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from price_fusion.data.columns import draft_columns
from price_fusion.data.partitions.convert import draft_from_table, draft_to_table
from price_fusion.data.partitions.scatter import write_table_partitions
from price_fusion.data.table import EmbeddingTable, write_table
from support.partitions import COMPUTE, SOURCES, product_frame


def rows(table: EmbeddingTable) -> dict[str, tuple[bytes, bytes]]:
    vectors = np.concatenate(table.vectors)
    return {
        str(number): (vectors[row].tobytes(), table.structural[row].tobytes()) for row, number in enumerate(table.ids)
    }


def there_and_back(table: EmbeddingTable, folder: Path) -> EmbeddingTable:
    partitions = write_table_partitions(
        str(folder / "partitions"), table.source, draft_from_table(table, compute=COMPUTE)
    )
    assert partitions.partitions.rows == table.rows
    write_table(folder / "back", table.source, draft_to_table(partitions, folder / "spill", rows_per_shard=60))
    return EmbeddingTable(folder / "back")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("ids", [np.arange(100), np.array([f"B{number:03d}" for number in range(100)])])
def test_a_table_comes_back_as_it_was(
    make_table: Callable[..., EmbeddingTable], tmp_path: Path, dtype: str, ids: np.ndarray
) -> None:
    vectors = np.random.default_rng(1).normal(size=(100, 9)).astype(np.float32)
    table = make_table(ids, vectors, structural_columns=3, dtype=dtype, rows_per_shard=40)
    back = there_and_back(table, tmp_path)
    assert rows(back) == rows(table)
    assert (back.dtype, back.declaration) == (table.dtype, table.declaration)
    assert not list((tmp_path / "spill").iterdir())


def test_a_column_source_comes_back_as_it_was(tmp_path: Path) -> None:
    frame = product_frame(50)
    frame.loc[3, "weight"] = ""
    write_table(tmp_path / "facts", "facts", draft_columns(frame, SOURCES["facts"], "products"))
    table = EmbeddingTable(tmp_path / "facts")
    back = there_and_back(table, tmp_path)
    assert rows(back) == rows(table)
    assert back.declaration == table.declaration
