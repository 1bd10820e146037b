"""Files on a disk, and addresses that are taken for some."""

from __future__ import annotations

from pathlib import Path

import pytest

from price_fusion.datasets.checkpoint import CheckpointDataset
from price_fusion.datasets.embedding_files import EmbeddingFilesDataset
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.product_table import ProductTableDataset
from price_fusion.errors import DataError


@pytest.mark.parametrize("filepath", ["data/a b", "/shop/a#b", "shop[1]/a%20b", "C:/shop/a", "a:b"])
def test_paths_stay_as_they_are(filepath: str) -> None:
    assert local_path(filepath) == Path(filepath)


def test_file_addresses_are_paths() -> None:
    assert local_path("file:///srv/shop/train.csv") == Path("/srv/shop/train.csv")


@pytest.mark.parametrize("address", ["gs://shop/raw", "abfs://shop/raw", "https://shop.example/raw", "hdfs://node/raw"])
def test_addresses_of_stores_are_refused_by_what_reads_disks(address: str) -> None:
    entries = (
        lambda path: ProductTableDataset(filepath=path, labelled=True),
        lambda path: EmbeddingFilesDataset(filepath=path, file_format="npy"),
        lambda path: CheckpointDataset(filepath=path),
    )
    for entry in entries:
        with pytest.raises(
            DataError, match=f"{address}/x: the address of a store, expected a path on a disk.*scale.md"
        ):
            entry(f"{address}/x")
