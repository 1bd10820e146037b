"""Features: the right row of each table for each product."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from price_fusion.data.columns import draft_columns
from price_fusion.data.table import EmbeddingTable, write_table
from price_fusion.errors import DataError
from price_fusion.models.features import Features, features_from_arrays, features_from_tables
from price_fusion.parameters import ColumnSourceParameters, SourceParameters

CPU = torch.device("cpu")
MakeTable = Callable[..., EmbeddingTable]
Tables = dict[str, EmbeddingTable]


@pytest.fixture
def vectors() -> dict[str, NDArray[np.float32]]:
    generator = np.random.default_rng(0)
    return {
        "picture": generator.integers(-99, 99, (8, 5)).astype(np.float32),
        "words": generator.integers(-99, 99, (6, 9)).astype(np.float32),
    }


@pytest.fixture
def make_tables(make_table: MakeTable, vectors: dict[str, NDArray[np.float32]]) -> Callable[..., Tables]:
    def make(**options: Any) -> Tables:
        return {
            "picture": make_table([7, 11, 12, 13, 14, 15, 16, 5], vectors["picture"], source="picture", **options),
            "words": make_table([21, 22, 23, 24, 25, 7], vectors["words"], structural_columns=3, **options),
        }

    return make


SAMPLES = pd.DataFrame({"sample_id": [5, 6, 7]})


@pytest.mark.parametrize("rows_per_shard", [2, 100])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_gathers_each_products_rows(
    make_tables: Callable[..., Tables],
    vectors: dict[str, NDArray[np.float32]],
    tiny_sources: dict[str, SourceParameters],
    rows_per_shard: int,
    dtype: str,
) -> None:
    tables = make_tables(rows_per_shard=rows_per_shard, dtype=dtype)
    features = features_from_tables(SAMPLES, tables, tiny_sources)
    assert len(features) == 3
    assert features.device == CPU
    assert list(features.sources) == ["picture", "words"]
    batch = features.batch(torch.tensor([2, 0]))
    assert batch["picture"].vectors.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(batch["picture"].vectors, vectors["picture"][[0, 7]])
    assert batch["picture"].structural.shape == (2, 0)
    assert batch["picture"].present.tolist() == [True, True]
    np.testing.assert_array_equal(batch["words"].vectors[0], vectors["words"][5, :6])
    np.testing.assert_array_equal(batch["words"].structural[0], vectors["words"][5, 6:])
    assert batch["words"].structural.dtype == torch.float32
    assert batch["words"].present.tolist() == [True, False]


def test_knows_which_products_some_source_knows(
    make_tables: Callable[..., Tables], tiny_sources: dict[str, SourceParameters]
) -> None:
    features = features_from_tables(SAMPLES, make_tables(), tiny_sources)
    assert features.known().tolist() == [True, False, True]


def test_one_shard_is_not_copied(make_tables: Callable[..., Tables], tiny_sources: dict[str, SourceParameters]) -> None:
    tables = make_tables()
    features = features_from_tables(SAMPLES, tables, tiny_sources)
    assert features.sources["words"].vectors.data_ptr() == tables["words"].vectors[0].ctypes.data


@pytest.mark.parametrize("change", [{"width": 8}, {"structural_columns": 2}])
def test_refuses_a_table_of_other_widths(
    make_tables: Callable[..., Tables], tiny_sources: dict[str, SourceParameters], change: dict[str, int]
) -> None:
    sources = tiny_sources | {"words": tiny_sources["words"].model_copy(update=change)}
    with pytest.raises(DataError, match="'words' has 6 embedding and 3 structural columns, expected ") as caught:
        features_from_tables(SAMPLES, make_tables(), sources)
    assert "train it again, or undo the change and run 'ingest' again" in str(caught.value)


def from_arrays(tiny_sources: dict[str, SourceParameters], dtype: str, **arrays: NDArray[np.floating[Any]]) -> Features:
    return features_from_arrays(arrays, tiny_sources, dict.fromkeys(tiny_sources, dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_arrays_are_rounded_as_tables_are(tiny_sources: dict[str, SourceParameters], dtype: str) -> None:
    words = np.random.default_rng(1).normal(size=(4, 9))
    source = from_arrays(tiny_sources, dtype, words=words).sources["words"]
    assert source.vectors.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(source.vectors, words[:, :6].astype(dtype))
    np.testing.assert_array_equal(source.structural, words[:, 6:].astype(np.float32))
    assert source.rows.tolist() == [0, 1, 2, 3]


def test_an_absent_array_knows_no_product(tiny_sources: dict[str, SourceParameters]) -> None:
    features = from_arrays(tiny_sources, "float16", words=np.ones((4, 9)))
    assert len(features) == 4
    batch = features.batch(torch.arange(4))
    assert not batch["picture"].present.any()
    assert batch["picture"].vectors.shape == (4, 5)
    assert torch.isfinite(batch["picture"].vectors).all()
    assert batch["words"].present.all()


def test_a_row_beyond_float16_keeps_its_values_and_leaves_the_others_rounded(
    tiny_sources: dict[str, SourceParameters],
) -> None:
    words = np.random.default_rng(1).normal(size=(3, 9)).astype(np.float32)
    words[1, 2] = 1e5
    vectors = from_arrays(tiny_sources, "float16", words=words).sources["words"].vectors
    np.testing.assert_array_equal(vectors[1], words[1, :6])
    np.testing.assert_array_equal(vectors[[0, 2]], words[[0, 2], :6].astype(np.float16).astype(np.float32))


# --- columns ---------------------------------------------------------------------------------------------------------

FACTS = ColumnSourceParameters(kind="columns", group="facts", numeric=("weight",), categorical=("colour",))


@pytest.fixture
def make_facts(new_folder: Callable[[], Path]) -> Callable[..., EmbeddingTable]:
    """A function that writes a table of weights and colours of the products 0, 1, ... and opens it."""

    def make(weights: list[str], colours: list[str], declaration: ColumnSourceParameters = FACTS) -> EmbeddingTable:
        frame = pd.DataFrame({"sample_id": range(len(weights)), "weight": weights, "colour": colours})
        folder = new_folder() / "facts"
        write_table(folder, "facts", draft_columns(frame, declaration, "test.csv"))
        return EmbeddingTable(folder)

    return make


def completed(*colours: str) -> ColumnSourceParameters:
    return FACTS.model_copy(update={"vocabulary": {"colour": colours}})


def test_columns_are_structural_values_without_vectors(make_facts: Callable[..., EmbeddingTable]) -> None:
    table = make_facts(["1.5", "", "3"], ["red", "blue", ""])
    samples = pd.DataFrame({"sample_id": [2, 9, 1]})
    features = features_from_tables(samples, {"facts": table}, {"facts": table.declaration})
    batch = features.batch(torch.arange(3))["facts"]
    assert batch.vectors.shape == (3, 0)
    assert batch.present.tolist() == [True, False, True]
    torch.testing.assert_close(
        batch.structural[[0, 2]], torch.tensor([[3.0, 0.0], [float("nan"), 1.0]]), equal_nan=True
    )
    assert features.bytes_per_product == 2 * 4
    assert features.bytes == 3 * 2 * 4


def test_codes_are_those_of_the_models_vocabulary(make_facts: Callable[..., EmbeddingTable]) -> None:
    table = make_facts(["1", "2", "3", "4"], ["red", "blue", "mauve", ""])
    samples = pd.DataFrame({"sample_id": range(4)})
    features = features_from_tables(samples, {"facts": table}, {"facts": completed("amber", "blue", "red")})
    assert features.sources["facts"].structural.tolist() == [[1, 3], [2, 2], [3, 0], [4, 0]]
    as_stored = features_from_tables(samples, {"facts": table}, {"facts": table.declaration})
    assert as_stored.sources["facts"].structural.tolist() == [[1, 3], [2, 1], [3, 2], [4, 0]]


@pytest.mark.parametrize(
    "change",
    [{"numeric": ("height",)}, {"numeric": ("weight", "height")}, {"numeric": (), "categorical": ("colour", "weight")}],
)
def test_refuses_a_table_of_other_columns(make_facts: Callable[..., EmbeddingTable], change: dict[str, Any]) -> None:
    wanted = completed("red").model_copy(update=change)
    with pytest.raises(DataError, match="'facts' has the columns weight, colour, expected ") as caught:
        features_from_tables(pd.DataFrame({"sample_id": [0]}), {"facts": make_facts(["1"], ["red"])}, {"facts": wanted})
    assert ", ".join((*wanted.numeric, *wanted.categorical)) in str(caught.value)
    assert "train it again, or undo the change and run 'ingest' again" in str(caught.value)


def test_refuses_embeddings_for_columns_and_columns_for_embeddings(
    make_facts: Callable[..., EmbeddingTable], make_table: MakeTable
) -> None:
    samples = pd.DataFrame({"sample_id": [0]})
    embeddings = make_table([0], np.ones((1, 2)), source="facts")
    with pytest.raises(DataError, match="'facts' has the columns none, expected weight, colour"):
        features_from_tables(samples, {"facts": embeddings}, {"facts": completed("red")})
    with pytest.raises(DataError, match="'facts' has 0 embedding and 2 structural columns, expected 2 and 0"):
        features_from_tables(
            samples, {"facts": make_facts(["1"], ["red"])}, {"facts": SourceParameters(width=2, group="facts")}
        )


def test_arrays_of_columns_are_taken_as_they_are() -> None:
    array = np.array([[1.5, 2.0], [np.nan, 0.0]])
    sources = {"facts": completed("blue", "red"), "more": completed("red")}
    features = features_from_arrays({"facts": array}, sources, dict.fromkeys(sources, "float32"))
    np.testing.assert_array_equal(features.sources["facts"].structural, array)
    absent = features.batch(torch.arange(2))["more"]
    assert not absent.present.any()
    assert absent.structural.tolist() == [[0, 0], [0, 0]]
