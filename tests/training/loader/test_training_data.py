"""Training data: prices and rows by split, and digests of all they came from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import AlignmentError
from price_fusion.training.loader.training_data import training_data

SAMPLES = pd.DataFrame({"sample_id": [7, 3, 9, 4], "price": [1.5, 20.0, 3.0, 14.0], "group_key": [0, 1, 2, 3]})
SPLIT = pd.DataFrame({"sample_id": [7, 3, 9, 4], "split": ["train", "holdout", "validation", "train"]})


@pytest.fixture
def tables(make_table: Callable[..., EmbeddingTable]) -> dict[str, EmbeddingTable]:
    return {"words": make_table([3, 4, 7], np.arange(9.0).reshape(3, 3), structural_columns=1)}


def test_rows_are_those_of_their_split(tables: dict[str, EmbeddingTable]) -> None:
    data = training_data(SAMPLES, SPLIT, tables, "cpu")
    assert data.train.tolist() == [0, 3]
    assert data.validation.tolist() == [2]
    assert data.prices.dtype == torch.float32
    assert data.prices.tolist() == [1.5, 20.0, 3.0, 14.0]


def test_features_are_in_the_order_of_the_sample_table(tables: dict[str, EmbeddingTable]) -> None:
    data = training_data(SAMPLES, SPLIT, tables, "cpu")
    batch = data.features.batch(data.train)["words"]
    assert batch.vectors.tolist() == [[6, 7], [3, 4]]
    assert batch.structural.tolist() == [[8], [5]]


@pytest.mark.parametrize("split", [SPLIT.iloc[:3], SPLIT.iloc[::-1], SPLIT.assign(sample_id=[7, 3, 9, 5])])
def test_refuses_a_split_of_other_products(tables: dict[str, EmbeddingTable], split: pd.DataFrame) -> None:
    with pytest.raises(
        AlignmentError, match=rf"sample table \(4 products\) and the split table \({len(split)}\) do not"
    ):
        training_data(SAMPLES, split, tables, "cpu")


def test_fingerprints_tell_what_changed(tables: dict[str, EmbeddingTable]) -> None:
    before = training_data(SAMPLES, SPLIT, tables, "cpu").fingerprints
    assert before == training_data(SAMPLES.copy(), SPLIT.copy(), tables, "cpu").fingerprints
    assert before["words"] == tables["words"].fingerprint
    raised = training_data(SAMPLES.assign(price=[1.5, 20.0, 3.0, 14.01]), SPLIT, tables, "cpu").fingerprints
    assert {name for name in before if before[name] != raised[name]} == {"samples"}
    moved = training_data(SAMPLES, SPLIT.replace("validation", "train"), tables, "cpu").fingerprints
    assert {name for name in before if before[name] != moved[name]} == {"split"}


def test_fingerprints_do_not_know_the_prices_of_holdout_rows(tables: dict[str, EmbeddingTable]) -> None:
    before = training_data(SAMPLES, SPLIT, tables, "cpu").fingerprints
    raised = SAMPLES.assign(price=[1.5, 99.0, 3.0, 14.0])
    assert training_data(raised, SPLIT, tables, "cpu").fingerprints == before
    told = training_data(SAMPLES, SPLIT.replace("holdout", "train"), tables, "cpu").fingerprints
    assert {name for name in before if before[name] != told[name]} == {"samples", "split"}
