"""What is gathered from partitions is what there is without them, for every number of partitions; of more rows, a sample that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal

from price_fusion.compute import executor_of
from price_fusion.data.alignment import align_samples, sample_table
from price_fusion.data.partitions.gathering import (
    draft_gathered,
    gather_chosen,
    gather_products,
    gather_samples,
    gather_split,
)
from price_fusion.data.partitions.partition_alignment import PartitionAlignment, alignment_plan
from price_fusion.data.partitions.product_files import ProductFiles
from price_fusion.data.partitions.product_partitions import product_plan
from price_fusion.data.partitions.scatter import draft_table_partitions, write_table_partitions
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.products import read_products
from price_fusion.data.readers.layout import Layout
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.roles import rows_to_report
from price_fusion.data.splits import split_samples
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from price_fusion.errors import ComparisonError, DataError
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import ComputeParameters, SourceParameters, SplittingParameters
from price_fusion.storage.fingerprint import is_sample, rows_of_whole
from price_fusion.storage.partitions.parts import Partitions, write_partitions
from price_fusion.training.recipe import data_fingerprints, final_fingerprints
from support.partitions import SOURCES

ROWS = 300
SPLITTING = SplittingParameters()
DECLARED = {name: source for name, source in SOURCES.items() if isinstance(source, SourceParameters)}
Frames = tuple[pd.DataFrame, pd.DataFrame]


class InPartitions(NamedTuple):
    products: Partitions
    chosen: Partitions
    """Those that all sources know."""
    tables: dict[str, TablePartitions]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, RawEmbeddings]]:
    """A CSV of products, some of them in groups, and embeddings that lack a few and know a stranger."""
    generator, path = np.random.default_rng(0), tmp_path_factory.mktemp("raw") / "train.csv"
    ids = generator.permutation(9_000)[:ROWS]
    pd.DataFrame(
        {
            "sample_id": ids,
            "catalog_content": [f"Item {number % (ROWS * 3 // 4)}" for number in range(ROWS)],
            "image_link": [f"http://a/{number // 2 if number % 5 else number}.jpg" for number in range(ROWS)],
            "price": np.exp(generator.normal(2.5, 1, ROWS)).round(2).clip(0.1),
        }
    ).to_csv(path, index=False)
    embeddings = {}
    for place, (name, source) in enumerate(DECLARED.items()):
        known = generator.permutation(np.append(ids[3 * place :], 10**6))
        embeddings[name] = RawEmbeddings(known, generator.normal(size=(len(known), source.width)).astype("f4"), name)
    return path, embeddings


@pytest.fixture(scope="module")
def in_partitions(
    raw: tuple[Path, dict[str, RawEmbeddings]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], InPartitions]:
    def write(count: int) -> InPartitions:
        folder, compute = tmp_path_factory.mktemp(f"partitions-{count}"), ComputeParameters(partitions=count, workers=1)
        path, embeddings = raw
        files = ProductFiles(str(path), labelled=True, layout=Layout())
        plan = product_plan(files, compute=compute, spill=folder / "spill", splitting=SPLITTING, tuned_on={}, seed=1)
        products = write_partitions(str(folder / "products"), plan, executor_of(compute))
        tables = {
            name: write_table_partitions(
                str(folder / name),
                name,
                draft_table_partitions(embeddings[name], source, dtype="float16", compute=compute),
            )
            for name, source in DECLARED.items()
        }
        alignment = PartitionAlignment(products, tables, "intersect", "error", "products")
        chosen = write_partitions(str(folder / "chosen"), alignment_plan(alignment), executor_of(compute))
        return InPartitions(products, chosen, tables)

    return write


def in_memory(raw: tuple[Path, dict[str, RawEmbeddings]], folder: Path) -> tuple[Frames, dict[str, EmbeddingTable]]:
    path, embeddings = raw
    tables = {}
    for name, source in DECLARED.items():
        write_table(folder / name, name, draft_table(embeddings[name], source))
        tables[name] = EmbeddingTable(folder / name)
    products = read_products(path, labelled=True)
    samples = sample_table(products, "products")
    split = split_samples(
        samples,
        fractions=SPLITTING.fractions,
        price_quantiles=SPLITTING.price_quantiles,
        folds=SPLITTING.folds,
        tuned_on={},
        seed=1,
    )
    return (samples, split), tables


def gathered(partitions: InPartitions, folder: Path, most: int = ROWS) -> tuple[Frames, dict[str, EmbeddingTable]]:
    samples = gather_samples(partitions.products, most)
    split = gather_split(partitions.products, samples)
    tables = {}
    for name, table in partitions.tables.items():
        write_table(folder / name, name, draft_gathered(table, samples, folder / "spill", rows_per_shard=1_000))
        tables[name] = EmbeddingTable(folder / name)
    return (samples, split), tables


@pytest.mark.parametrize("count", [1, 4, 64])
def test_all_rows_are_those_of_memory(
    count: int, raw: tuple[Path, dict[str, RawEmbeddings]], in_partitions: Callable[[int], InPartitions], tmp_path: Path
) -> None:
    (samples, split), tables = in_memory(raw, tmp_path / "memory")
    partitions = in_partitions(count)
    (found, found_split), found_tables = gathered(partitions, tmp_path / "gathered")
    assert not is_sample(found)
    assert_frame_equal(found_split, split, check_dtype=False)
    assert_frame_equal(found, samples, check_dtype=False)
    ids = samples["sample_id"].to_numpy()
    for name, table in tables.items():
        assert found_tables[name].ids.tolist() == table.ids[table.ids != 10**6].tolist()  # in the order of the raw file
        rows, other = table.rows_of(ids), found_tables[name].rows_of(ids)
        assert_array_equal(rows < 0, other < 0)
        assert_array_equal(table.vectors[0][rows[rows >= 0]], found_tables[name].vectors[0][other[other >= 0]])
        assert_array_equal(table.structural[rows[rows >= 0]], found_tables[name].structural[other[other >= 0]])
    products = read_products(raw[0], labelled=True)
    assert_frame_equal(gather_products(partitions.products, found), products, check_dtype=False)
    # The raw files have a product more; it is in the tables in memory alone.
    assert {table.rows - found_tables[name].rows for name, table in tables.items()} == {1}
    assert data_fingerprints(found, found_split, found_tables) == data_fingerprints(samples, split, tables)
    assert final_fingerprints(found, found_tables) == final_fingerprints(samples, tables)


def test_a_sample_is_the_same_for_every_number_of_partitions_and_says_what_the_whole_is(
    in_partitions: Callable[[int], InPartitions], make_checkpoint: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    few, many = (gathered(in_partitions(count), tmp_path / str(count), most=120) for count in (4, 64))
    for one, other in zip(few[0], many[0], strict=True):
        assert_frame_equal(one, other)
        assert (is_sample(one), rows_of_whole(one), len(one)) == (True, ROWS, 120)
    whole = gathered(in_partitions(4), tmp_path / "whole")[0]
    assert_frame_equal(few[0][1], whole[1].iloc[:120])
    assert set(few[0][1]["split"]) == {"train", "validation", "holdout"}
    smaller = gathered(in_partitions(4), tmp_path / "smaller", most=60)[0]
    digests = [data_fingerprints(*frames, {}) | final_fingerprints(frames[0], {}) for frames in (few[0], smaller)]
    assert digests[0] == digests[1]
    saved = few[0][1].to_parquet(tmp_path / "split.parquet") or pd.read_parquet(tmp_path / "split.parquet")
    rows_to_report(
        saved, make_checkpoint(data=digests[0])
    )  # a model of all rows is evaluated on a sample of its own split
    with pytest.raises(ComparisonError, match="trained on another split"):
        rows_to_report(whole[1].assign(fold=0), make_checkpoint(data=digests[0]))


def test_a_model_chooses_the_products_that_it_chooses_in_memory(
    raw: tuple[Path, dict[str, RawEmbeddings]], in_partitions: Callable[[int], InPartitions], tmp_path: Path
) -> None:
    (samples, split), tables = in_memory(raw, tmp_path / "memory")
    options = {"policy": "intersect", "unknown_products": "error", "origin": "products"}
    kept = align_samples(samples, tables, **options).kept
    expected = [frame[kept].reset_index(drop=True) for frame in (samples, split)]
    assert 0 < len(expected[0]) < ROWS
    few, many = in_partitions(4), in_partitions(64)
    for partitions in (few, many):
        whole = gathered(partitions, tmp_path / str(partitions.chosen.count))[0]
        for found, wanted in zip(gather_chosen(partitions.chosen, *whole), expected, strict=True):
            assert_frame_equal(found, wanted, check_dtype=False)
            assert not is_sample(found)
        found_tables = gathered(partitions, tmp_path / f"{partitions.chosen.count}-tables")[1]
        assert data_fingerprints(*expected, found_tables) == data_fingerprints(*expected, tables)
    digests = []
    for partitions in (few, many):
        part = gathered(partitions, tmp_path / f"part{partitions.chosen.count}", most=120)[0]
        found, found_split = gather_chosen(partitions.chosen, *part)
        assert found["sample_id"].tolist() == part[0].loc[kept[:120], "sample_id"].tolist()
        assert rows_of_whole(found) == rows_of_whole(found_split) == len(expected[0])
        digests.append(data_fingerprints(found, found_split, {}))
    assert digests[0] == digests[1] != data_fingerprints(*part, {})


def test_a_source_that_knows_none_of_the_sample_is_refused(
    in_partitions: Callable[[int], InPartitions], tmp_path: Path
) -> None:
    partitions = in_partitions(4)
    strangers = pd.DataFrame({"sample_id": np.arange(10**7, 10**7 + 5)})
    with pytest.raises(DataError, match=r"knows none of the 5 products .* Raise compute\.rows_in_memory"):
        draft_gathered(partitions.tables["words"], strangers, tmp_path, rows_per_shard=10)
