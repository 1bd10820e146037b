"""Recipes: another one for all that decides a model, and the same whatever holdout products cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.parameters import VariantParameters
from price_fusion.selection.cross_validation import LabelledData
from price_fusion.training.recipe import WITHOUT_EFFECT, data_fingerprints, other_data, recipe, variant_recipe

ROWS = (np.arange(5), np.arange(5, 7))
MakeLabelled = Callable[..., LabelledData]


@pytest.fixture(scope="module")
def labelled(make_labelled: MakeLabelled) -> LabelledData:
    return make_labelled()


def digests(labelled: LabelledData) -> dict[str, str]:
    return data_fingerprints(labelled.samples, labelled.split_table, labelled.tables)


def with_price(labelled: LabelledData, row: int, price: float) -> LabelledData:
    prices = labelled.samples["price"].to_numpy().copy()
    prices[row] = price
    return replace(labelled, samples=labelled.samples.assign(price=prices))


@given(data=st.data(), price=st.floats(0.01, 1e6))
def test_prices_of_the_holdout_are_not_looked_at_and_others_are(
    labelled: LabelledData, data: st.DataObject, price: float
) -> None:
    row = data.draw(st.integers(0, len(labelled.samples) - 1))
    held_out = labelled.split_table["split"][row] == "holdout"
    assert (digests(with_price(labelled, row, price)) == digests(labelled)) == held_out


def test_all_prices_of_the_holdout_at_once(labelled: LabelledData) -> None:
    held_out = labelled.split_table["split"] == "holdout"
    changed = labelled.samples.assign(price=labelled.samples["price"].where(~held_out, -1.0))
    assert held_out.sum() > 10
    assert digests(replace(labelled, samples=changed)) == digests(labelled)


def test_which_rows_are_holdout_and_all_else_is_looked_at(labelled: LabelledData, make_labelled: MakeLabelled) -> None:
    samples, split_table = labelled.samples, labelled.split_table
    before = digests(labelled)
    assert list(before) == ["picture", "words", "samples", "split"]
    for column in ("sample_id", "group_key", "place"):
        other = samples.assign(**{column: samples[column].to_numpy()[::-1]})
        assert digests(replace(labelled, samples=other))["samples"] != before["samples"]
    moved = split_table.assign(split=split_table["split"].replace("validation", "train"))
    assert digests(replace(labelled, split_table=moved))["split"] != before["split"]
    smaller = make_labelled(60)
    assert digests(replace(labelled, tables=smaller.tables))["words"] != before["words"]


def test_products_without_prices_have_digests(labelled: LabelledData) -> None:
    unlabelled = replace(labelled, samples=labelled.samples.drop(columns="price"))
    assert digests(unlabelled)["samples"] != digests(labelled)["samples"]


def test_the_index_says_nothing(labelled: LabelledData) -> None:
    shifted = replace(labelled, samples=labelled.samples.set_index(pd.Index(labelled.samples["sample_id"])))
    assert digests(shifted) == digests(labelled)


def test_a_table_is_the_same_whatever_it_holds_of_other_products(
    labelled: LabelledData, make_labelled: MakeLabelled
) -> None:
    fewer = labelled.samples["sample_id"].isin(make_labelled(60).samples["sample_id"]).to_numpy()
    samples, split_table = (frame[fewer] for frame in (labelled.samples, labelled.split_table))
    assert 0 < fewer.sum() < len(fewer)
    of_products = data_fingerprints(samples, split_table, labelled.tables)
    assert of_products["words"] != labelled.tables["words"].fingerprint
    assert other_data(of_products, of_products, labelled.tables) == []
    of_before = of_products | {name: table.fingerprint for name, table in labelled.tables.items()}
    assert other_data(of_before, of_products, labelled.tables) == []
    assert other_data(of_before | {"words": "0f", "split": "0f"}, of_products, labelled.tables) == ["split", "words"]


CHANGES: list[dict[str, Any]] = [
    {"epochs": 2},
    {"learning_rate": 2e-3},
    {"loss": "smape"},
    {"batch_size": 16},
    {"ema_decay": 0.9},
    {"ema_decay": 0.9, "ema_ramp": False},
    {"source_dropout": 0.1},
    {"precision": "bf16"},
]
HARMLESS: dict[str, Any] = {
    "resume": True, "state_every": 1.0, "checkpoint_every": 3, "cuda_graph": False, "device": "auto", "features_gb": 3.0,
}  # fmt: skip


def test_a_recipe_is_of_all_that_decides_a_model(tiny_variant: Callable[..., VariantParameters]) -> None:
    data = {"samples": "0f"}
    plain = tiny_variant()
    found = [
        variant_recipe(plain, 1, data, ROWS),
        variant_recipe(plain, 2, data, ROWS),
        variant_recipe(plain, 1, {"samples": "0e"}, ROWS),
        variant_recipe(plain, 1, data, ROWS[::-1]),
        variant_recipe(plain, 1, data, (ROWS[0], ROWS[1][:1])),
        variant_recipe(plain, 1, data, (np.arange(6), np.arange(6, 7))),  # the same rows, parted elsewhere
        variant_recipe(plain.model_copy(update={"sources": ("words", "picture")}), 1, data, ROWS),
        *(variant_recipe(tiny_variant(**change), 1, data, ROWS) for change in CHANGES),
    ]
    assert len(set(found)) == len(found)
    assert variant_recipe(tiny_variant(), 1, data, [rows.astype(np.int32) for rows in ROWS]) == found[0]


def test_what_does_not_change_a_model_does_not_change_its_recipe(
    tiny_variant: Callable[..., VariantParameters],
) -> None:
    assert set(HARMLESS) == set(WITHOUT_EFFECT)
    before = variant_recipe(tiny_variant(), 1, {}, ROWS)
    for name, value in HARMLESS.items():
        assert variant_recipe(tiny_variant(**{name: value}), 1, {}, ROWS) == before


def test_the_order_of_what_is_described_says_nothing() -> None:
    assert recipe({"a": 1, "b": [2]}, ROWS) == recipe({"b": [2], "a": 1}, ROWS) != recipe({"a": 1, "b": [3]}, ROWS)
