"""More of a product never costs less, whatever the weights; without the option nothing changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.columns import column_matrix, completed
from price_fusion.evaluation.amount_effect import twice_the_amount
from price_fusion.models.build import PriceModel
from price_fusion.models.counts import parameter_counts
from price_fusion.models.features import features_from_arrays
from price_fusion.parameters import ColumnSourceParameters, ModelParameters, Source, SourceParameters

TEXTS = [
    text.format(size=size)
    for size in (3, 12, 55, 250, 900, 4000)
    for text in (
        "Item Name: Rye Flour\nValue: {size}\nUnit: Gram",
        "Item Name: Rye Flour {size} g, Pack of 3",
        "Item Name: Orange Juice {size} ml\nValue: {size}\nUnit: ml",
        "Item Name: Orange Juice (Pack of 6)\nValue: {size}\nUnit: Fl Oz",
        "Item Name: Tea Lights\nValue: {size}\nUnit: Count",
        "Item Name: Paper Plates, Pack of {size}",
        "Item Name: A gift of unknown size",
    )
]
PRODUCTS = pd.DataFrame({"catalog_content": TEXTS})
QUANTITY = completed(PRODUCTS, ColumnSourceParameters(kind="columns", group="q", parse="quantity"), "x")
SOURCES: dict[str, Source] = {"words": SourceParameters(width=4, group="text"), "quantity": QUANTITY}
MATRIX = column_matrix(PRODUCTS, QUANTITY, "x")


def random_model(seed: int, model: ModelParameters) -> PriceModel:
    torch.manual_seed(seed)
    made = PriceModel(SOURCES, model)
    made.fit_structural({"words": torch.empty(0, 0), "quantity": torch.from_numpy(MATRIX)})
    for weight in made.parameters():
        weight.data.normal_(std=0.5)
    return made.eval()


@pytest.mark.parametrize("head", [{"kind": "mlp"}, {"kind": "mixture"}])
@pytest.mark.parametrize("fusion", [{"kind": "concat"}, {"kind": "attention", "heads": 2}])
@given(seed=st.integers(0, 99))
def test_twice_the_amount_never_costs_less(seed: int, head: dict[str, object], fusion: dict[str, object]) -> None:
    parameters = ModelParameters.model_validate(
        {"branch": {"width": 8}, "fusion": fusion, "head": head, "monotone_in_amount": True}
    )
    model = random_model(seed, parameters)
    words = np.random.default_rng(seed).normal(size=(len(TEXTS), 4)).astype(np.float32)
    dtypes = dict.fromkeys(SOURCES, "float32")
    features = features_from_arrays({"words": words, "quantity": MATRIX.copy()}, SOURCES, dtypes)
    doubled = twice_the_amount(features, SOURCES)
    assert doubled is not None
    index = torch.arange(len(TEXTS))
    with torch.inference_mode():
        once, twice = model(features.batch(index)), model(doubled[0].batch(index))
    assert (twice >= once - 1e-5).all()
    assert (twice > once).any()
    assert torch.equal(twice[~torch.from_numpy(doubled[1])], once[~torch.from_numpy(doubled[1])])


def test_an_option_that_nothing_says_amounts_for_changes_nothing() -> None:
    plain, asked = ModelParameters(), ModelParameters(monotone_in_amount=True)
    words = {"words": SOURCES["words"]}
    assert parameter_counts(PriceModel(words, plain)) == parameter_counts(PriceModel(words, asked))
    assert "amount" not in parameter_counts(PriceModel(SOURCES, plain))
    counts = parameter_counts(PriceModel(SOURCES, asked))
    assert counts["total"] == sum(count for name, count in counts.items() if name != "total")


def test_stacked_members_give_what_each_gives() -> None:
    parameters = ModelParameters.model_validate({"branch": {"width": 8}, "monotone_in_amount": True})
    models = [random_model(seed, parameters) for seed in (1, 2)]
    features = features_from_arrays(
        {"words": np.ones((len(TEXTS), 4), np.float32), "quantity": MATRIX}, SOURCES, dict.fromkeys(SOURCES, "float32")
    )
    batch = features.batch(torch.arange(len(TEXTS)))
    weights, buffers = torch.func.stack_module_state(models)  # type: ignore[arg-type]
    together = torch.func.vmap(lambda *state: torch.func.functional_call(models[0], state, (batch,)))(weights, buffers)
    for found, model in zip(together, models, strict=True):
        torch.testing.assert_close(found, model(batch), rtol=1e-4, atol=1e-4)
