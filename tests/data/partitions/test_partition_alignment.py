"""Alignment in partitions says what alignment in memory says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from price_fusion.data.alignment import align_samples, sample_table
from price_fusion.data.partitions.labels import merged_split
from price_fusion.data.partitions.partition_alignment import PartitionAlignment, alignment_plan, merged_alignment
from price_fusion.data.partitions.scatter import frame_of
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from price_fusion.errors import AlignmentError
from price_fusion.storage.partitions.parts import PartitionDraft, Partitions, write_draft
from support.partitions import COMPUTE, COUNT, SOURCES, product_frame, raw_embeddings, write_products, write_tables

EMBEDDED = ("picture", "words")


def made(
    folder: Path, rows: int = 120
) -> tuple[pd.DataFrame, dict[str, RawEmbeddings], Partitions, dict[str, TablePartitions]]:
    frame = product_frame(rows)
    raws = {
        name: raw_embeddings(frame, SOURCES[name], seed=seed, missing=3 * seed) for seed, name in enumerate(EMBEDDED, 1)
    }
    products = write_products(folder / "products", frame)
    return frame, raws, products, write_tables(folder, products, raws)


def align(
    folder: Path, products: Partitions, tables: dict[str, TablePartitions], policy: str = "keep", unknown: str = "keep"
):
    task = PartitionAlignment(products, tables, policy, unknown, "products.csv")
    return write_draft(str(folder / "samples"), PartitionDraft(alignment_plan(task), COMPUTE))


@pytest.mark.parametrize(("policy", "unknown"), [("keep", "keep"), ("keep", "drop"), ("intersect", "keep")])
def test_samples_and_report_are_those_of_memory(tmp_path: Path, policy: str, unknown: str) -> None:
    frame, raws, products, tables = made(tmp_path)
    for name in EMBEDDED:
        write_table(tmp_path / f"table_{name}", name, draft_table(raws[name], SOURCES[name]))
    in_memory = {name: EmbeddingTable(tmp_path / f"table_{name}") for name in EMBEDDED}
    all_samples = sample_table(frame, "products.csv")
    expected = align_samples(all_samples, in_memory, policy=policy, unknown_products=unknown, origin="products.csv")
    chosen = all_samples[expected.kept]
    embedded = {name: tables[name] for name in EMBEDDED}
    samples = align(tmp_path, products, embedded, policy, unknown)

    report = merged_alignment(samples, policy, "products.csv")
    assert report | {"groups_of_several": None, "sources": {}} == expected.report | {
        "groups_of_several": None,
        "sources": {},
    }
    for name, counts in expected.report["sources"].items():
        found = report["sources"][name]
        assert found | {"extra_examples": []} == counts | {"extra_examples": []}

    kept = pd.concat(frame_of(samples, partition) for partition in range(COUNT))
    assert kept["sample_id"].tolist() == chosen["sample_id"].tolist()
    assert not [name for name in kept if name.startswith("row_")]


def test_split_report_counts_rows_and_prices(tmp_path: Path) -> None:
    frame, _, products, tables = made(tmp_path)
    report = merged_split(align(tmp_path, products, tables))
    assert report["folds"] == {str(fold): int(rows) for fold, rows in frame["fold"].value_counts().items()}
    for name, rows in frame.groupby("split"):
        split = report["splits"][name]
        assert split["rows"] == split["groups"] == len(rows)
        assert split["mean_price"] == pytest.approx(rows["price"].mean(), abs=0.01)
        assert split["median_price"] == pytest.approx(rows["price"].median(), rel=0.05)


def test_strict_policy_names_what_is_missing(tmp_path: Path) -> None:
    _, _, products, tables = made(tmp_path)
    with pytest.raises(AlignmentError, match=r"ingestion\.policy is 'strict' and products are missing from sources: "):
        align(tmp_path, products, tables, policy="strict")


def test_a_source_of_other_products_is_refused(tmp_path: Path) -> None:
    frame, raws, products, tables = made(tmp_path)
    strangers = RawEmbeddings(raws["words"].ids + 10**6, raws["words"].vectors, "strangers.npy")
    tables |= write_tables(tmp_path / "other", products, {"words": strangers})
    samples = align(tmp_path, products, tables)
    with pytest.raises(AlignmentError, match=r"source 'words' knows none of the 120 products of products\.csv"):
        merged_alignment(samples, "keep", "products.csv")
    assert len(frame) == 120


def test_other_numbers_of_partitions_are_refused(tmp_path: Path) -> None:
    frame, raws, products, tables = made(tmp_path)
    from price_fusion.data.partitions.scatter import draft_table_partitions, write_table_partitions

    compute = COMPUTE.model_copy(update={"partitions": 3})
    draft = draft_table_partitions(raws["words"], SOURCES["words"], dtype="float16", compute=compute)
    tables["words"] = write_table_partitions(str(tmp_path / "three"), "words", draft)
    with pytest.raises(
        AlignmentError, match=r"3 partitions, the products .* have 4: .*: kedro run --pipelines ingest$"
    ):
        align(tmp_path, products, tables)
    assert len(frame)
