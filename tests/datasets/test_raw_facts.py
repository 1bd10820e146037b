"""Raw files are known by their contents and by how they are read, the same with and without partitions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from price_fusion.datasets.embedding_files import EmbeddingFilesDataset
from price_fusion.datasets.product_table import ProductTableDataset
from price_fusion.datasets.raw_facts import products_of, raw_facts
from price_fusion.storage.digests import CheckRecord


@pytest.fixture
def digests(tmp_path: Path) -> CheckRecord:
    return CheckRecord(tmp_path)


def test_products_read_in_pieces_have_the_name_and_facts_of_the_others(tmp_path: Path, digests: CheckRecord) -> None:
    (tmp_path / "train.csv").write_text("sample_id,catalog_content,image_link,price\n1,x,y,2\n")
    dataset = ProductTableDataset(filepath=str(tmp_path / "train.csv"), labelled=True)
    facts = raw_facts(dataset, digests)
    assert facts is not None
    assert facts == raw_facts(dataset.read_in_pieces(), digests)
    own = ProductTableDataset(filepath=f"file://{tmp_path}/train.csv", labelled=True, in_pieces=True)
    assert facts == raw_facts(own, digests)
    assert [products_of(name) for name in ("train_product_files", "test_products", "a.train_embeddings")] == [
        "train_products",
        "test_products",
        "a.train_embeddings",
    ]


def test_each_file_of_a_folder_counts_by_its_contents(tmp_path: Path, digests: CheckRecord) -> None:
    dataset = EmbeddingFilesDataset(filepath=str(tmp_path / "raw"), in_pieces=True)
    names = ["day=1/part-0.parquet", "day=2/part-0.parquet"]
    found = []
    for contents in (b"contents", b"CONTENTS"):
        for name in names:
            (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "raw" / name).write_bytes(contents if name == names[0] else b"same")
            os.utime(tmp_path / "raw" / name, ns=(10**18, 10**18))
        found.append(raw_facts(dataset, digests))
    assert [sorted(facts["files"]) for facts in found if facts] == [names, names]
    first, second = (facts["files"] for facts in found if facts)
    assert [first[name] == second[name] for name in names] == [False, True]


def test_files_that_are_not_there_have_no_facts(tmp_path: Path, digests: CheckRecord) -> None:
    assert raw_facts(ProductTableDataset(filepath=str(tmp_path / "none.csv"), labelled=True), digests) is None
    assert raw_facts(EmbeddingFilesDataset(filepath=str(tmp_path / "none"), in_pieces=True), digests) is None
    assert raw_facts(ProductTableDataset(filepath="memory://none.csv", labelled=True, in_pieces=True), digests) is None
