"""Datasets of tables in partitions, and handles on raw files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from price_fusion.data.partitions.scatter import draft_table_partitions
from price_fusion.datasets.checkpoint import CheckpointDataset
from price_fusion.datasets.embedding_files import EmbeddingFilesDataset
from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.made_from import Origins
from price_fusion.datasets.partitions import PartitionsDataset
from price_fusion.datasets.product_table import ProductTableDataset
from price_fusion.errors import AlignmentError, DataError
from price_fusion.parameters import ComputeParameters
from price_fusion.storage.partitions.ordered import OrderedRows
from price_fusion.storage.partitions.parts import PartitionDraft, PartitionPlan
from support.partitions import (
    COMPUTE,
    COUNT,
    SOURCES,
    product_frame,
    raw_embeddings,
    write_products,
    write_samples,
    write_tables,
)
from support.whole import whole


def shuffled_rows(partition: int) -> tuple[dict[int, pa.Table], dict[str, int]]:
    """Rows 0 to 9 of a file, every fourth in a partition, not in order."""
    rows = np.arange(partition, 10, COUNT)[::-1]
    return {partition: pa.table({"sample_id": 100 + rows, "row": rows, "price": rows / 4})}, {"rows": len(rows)}


def plan() -> PartitionDraft:
    return PartitionDraft(PartitionPlan(shuffled_rows, COUNT, COUNT, "recipe", here=True), COMPUTE)


def test_a_table_exists_when_all_its_files_do(tmp_path: Path) -> None:
    dataset = PartitionsDataset(filepath=str(tmp_path / "table"))
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"no table in partitions here"):
        dataset.load()
    dataset.save(plan())
    assert dataset.exists()
    assert dataset.load().rows == 10
    next((tmp_path / "table").glob("partition=*/*.parquet")).unlink()
    assert not dataset.exists()


def test_an_embedding_table_has_its_source(tmp_path: Path) -> None:
    dataset = PartitionsDataset(filepath=str(tmp_path / "table"), source="words")
    raw = raw_embeddings(product_frame(40), SOURCES["words"], seed=1)
    dataset.save(draft_table_partitions(raw, SOURCES["words"], dtype="float16", compute=COMPUTE))
    table = dataset.load()
    assert (table.source, table.declaration, table.origin) == ("words", SOURCES["words"], "embeddings 1")
    assert dataset.exists()


def test_products_of_a_model_lead_to_the_tables_of_its_sources(tmp_path: Path) -> None:
    frame = product_frame(40)
    products = write_products(tmp_path / "products", frame)
    raws = {name: raw_embeddings(frame, SOURCES[name], seed=1) for name in ("picture", "words")}
    tables = write_tables(tmp_path / "tables", products, raws)
    write_samples(tmp_path / "chosen", products, tables)
    dataset = PartitionsDataset(filepath=str(tmp_path / "chosen"), tables={"filepath": f"{tmp_path}/tables/<source>"})
    chosen = dataset.load()
    assert chosen.sources == list(tables)
    opened = chosen.tables_of(["words", "picture"])
    assert [(name, table.source) for name, table in opened.items()] == [("words", "words"), ("picture", "picture")]
    assert opened["words"].fingerprint == tables["words"].fingerprint
    with pytest.raises(DataError, match=r"tables/siglip: no table in partitions here"):
        chosen.tables_of(["siglip"])

    others = {name: raw_embeddings(frame, SOURCES[name], seed=2) for name in ("picture", "words")}
    write_tables(tmp_path / "tables", products, others)
    with pytest.raises(AlignmentError, match=r"tables/words is not the table of 'words' that they were chosen by"):
        chosen.tables_of(["words"])
    write_tables(tmp_path / "tables", products, raws)
    assert list(chosen.tables_of(["words"])) == ["words"]

    write_samples(tmp_path / "chosen", products, {"picture": tables["picture"]})
    with pytest.raises(
        AlignmentError, match=r"not the table of 'words' by which none were chosen, only by picture\. Choose"
    ):
        dataset.load().tables_of(["words"])

    several = ComputeParameters(partitions=COUNT + 1, workers=1)
    write_tables(tmp_path / "tables", write_products(tmp_path / "others", frame, several), raws, several)
    with pytest.raises(AlignmentError, match=r"tables/words: 5 partitions, the products \(.*chosen\) have 4"):
        chosen.tables_of(["words"])


@pytest.mark.parametrize("tables", [{}, {"filepath": "tables/words"}, {"filepath": "<source>", "source": "words"}])
def test_an_address_of_tables_says_where_the_source_is(tables: dict[str, str]) -> None:
    with pytest.raises(DatasetFileError, match=r"expected \{filepath: <folder>/<source>/<part>\}"):
        PartitionsDataset(filepath="chosen", tables=tables)


def test_rows_are_written_in_order_and_whole(tmp_path: Path) -> None:
    table = PartitionsDataset(filepath=str(tmp_path / "table"))
    table.save(plan())
    dataset = whole(tmp_path / "out.csv")
    dataset.save(OrderedRows(table.load(), ("sample_id", "price"), COMPUTE, tmp_path / "spill"))
    assert dataset.exists()
    expected = pd.DataFrame({"sample_id": np.arange(100, 110), "price": np.arange(10) / 4})
    pd.testing.assert_frame_equal(dataset.load(), expected)
    (tmp_path / "out.csv").write_text("sample_id,price\n")
    with pytest.raises(DatasetFileError, match="damaged or changed"):
        dataset.load()


def test_raw_files_are_handles_and_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("sample_id,catalog_content,image_link,price\n")
    products = ProductTableDataset(filepath=str(tmp_path / "train.csv"), labelled=True, decimal=",", in_pieces=True)
    assert (products.load().url, products.load().layout.decimal) == (str(tmp_path / "train.csv"), ",")
    assert products.exists()
    embeddings = EmbeddingFilesDataset(filepath=str(tmp_path / "qwen"), embeddings="vector", in_pieces=True)
    assert not embeddings.exists()
    (tmp_path / "qwen").mkdir()
    pq.write_table(pa.table({"sample_id": [1], "vector": [[1.0]]}), tmp_path / "qwen/a.parquet")
    assert embeddings.exists()
    assert embeddings.load().blocks() == [("a.parquet", 0)]
    for dataset in (products, embeddings):
        with pytest.raises(DatasetError):
            dataset.save(None)
    with pytest.raises(DatasetFileError, match="Remove the other arguments, or in_pieces"):
        EmbeddingFilesDataset(filepath=str(tmp_path / "qwen"), missing="zero", in_pieces=True)


def test_prices_that_are_not_there_are_told_from_other_tables(tmp_path: Path) -> None:
    """Another model, of the same parameters and raw files, may predict them."""
    dataset = PartitionsDataset(filepath=str(tmp_path / "table"))
    assert not dataset.lacks_prices
    dataset.origins = Origins(inputs={"samples": whole(tmp_path / "samples.parquet")})
    assert not dataset.lacks_prices
    dataset.origins = Origins(inputs={"model": CheckpointDataset(filepath=str(tmp_path / "model.safetensors"))})
    assert dataset.lacks_prices
    dataset.save(plan())
    assert not dataset.lacks_prices
