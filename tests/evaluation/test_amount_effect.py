"""Twice the amount is what the catalog text of a pack twice as large would say, and its effect on prices is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from price_fusion import Predictor
from price_fusion.data.columns import column_matrix, completed
from price_fusion.evaluation.amount_effect import TWICE, amount_effect, effect_in_words, twice_the_amount
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.features import features_from_arrays
from price_fusion.parameters import ColumnSourceParameters

DECLARED = ColumnSourceParameters(kind="columns", group="quantity", parse="quantity")
PACKS = {
    "Item Name: Rye Flour\nValue: 1.25\nUnit: Kilogram": "Item Name: Rye Flour\nValue: 2.50\nUnit: Kilogram",
    "Item Name: Rye Flour 250 g, Pack of 3": "Item Name: Rye Flour 500 g, Pack of 3",
    "Item Name: Orange Juice\nValue: 330\nUnit: ml": "Item Name: Orange Juice\nValue: 660\nUnit: ml",
    "Item Name: Tea Lights\nValue: 40\nUnit: Count": "Item Name: Tea Lights\nValue: 80\nUnit: Count",
    "Item Name: Paper Plates, Pack of 40": "Item Name: Paper Plates, Pack of 80",
    "Item Name: A gift of unknown size": "Item Name: A gift of unknown size",
}


def frame(texts: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"sample_id": np.arange(len(texts)), "catalog_content": texts})


def test_columns_are_those_of_a_text_with_twice_the_amount() -> None:
    source = completed(frame(list(PACKS)), DECLARED, "x")
    one, two = (column_matrix(frame(list(texts)), source, "x") for texts in (PACKS, PACKS.values()))
    features = features_from_arrays({"quantity": one.copy()}, {"quantity": source}, {"quantity": "float32"})
    found = twice_the_amount(features, {"quantity": source})
    assert found is not None
    twice, known = found
    assert known.tolist() == [True] * 5 + [False]
    np.testing.assert_allclose(twice.sources["quantity"].structural.numpy(), two, rtol=1e-5)
    np.testing.assert_array_equal(features.sources["quantity"].structural.numpy(), one)


def test_products_of_which_nothing_is_known_stay(make_checkpoint: Callable[..., Checkpoint]) -> None:
    sources = make_checkpoint().header.sources
    quantity = completed(frame(list(PACKS)), DECLARED, "x")
    predictor = Predictor(make_checkpoint("concat", sources=sources | {"quantity": quantity}))
    features = predictor._features({"words": np.ones((6, 9))}, frame(list(PACKS)))
    rows = replace(features.sources["quantity"], rows=torch.tensor([0, -1, 2, -1, 4, 5]))
    found = twice_the_amount(replace(features, sources={**features.sources, "quantity": rows}), predictor.model.sources)
    assert found is not None
    assert found[1].tolist() == [True, False, True, False, True, False]
    assert found[0].sources["quantity"].rows.tolist() == [0, -1, 2, -1, 4, 5]
    assert np.isfinite(predictor.price_features(found[0])).all()
    assert twice_the_amount(features, sources) is None


def test_the_effect_is_counted_where_the_amount_is_known() -> None:
    results = pd.DataFrame({"predicted": [10.0, 20, 30, 40, 50], TWICE: [12.0, 15, np.nan, 40, 100]})
    effect = amount_effect(results)
    assert effect == {"rows": 4, "lower": 25.0, "median_ratio": pytest.approx(1.1)}
    assert "25.0 % of the 4 products" in effect_in_words(effect)[0]
    assert amount_effect(results.drop(columns=TWICE)) is None
    assert amount_effect(results[2:3]) is None
    assert effect_in_words(None) == []
