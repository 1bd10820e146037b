"""Scoring block by block, and prices within bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from price_fusion.metrics.price_scale import BEFORE
from price_fusion.models import scoring
from price_fusion.models.build import PriceModel
from price_fusion.models.features import Features, features_from_arrays
from price_fusion.models.layers.heads import Mixture
from price_fusion.models.scoring import gate_weights, score, to_prices
from price_fusion.parameters import ModelParameters, SourceParameters


@pytest.fixture
def model(tiny_sources: dict[str, SourceParameters], tiny_model_parameters: ModelParameters) -> PriceModel:
    torch.manual_seed(0)
    return PriceModel(tiny_sources, tiny_model_parameters)


@pytest.fixture
def features(tiny_sources: dict[str, SourceParameters]) -> Features:
    generator = np.random.default_rng(0)
    arrays = {name: generator.normal(size=(23, source.width)) for name, source in tiny_sources.items()}
    return features_from_arrays(arrays, tiny_sources, dict.fromkeys(tiny_sources, "float16"))


@pytest.mark.parametrize("block", [1, 7, 23, 100])
def test_blocks_do_not_matter(
    model: PriceModel, features: Features, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    whole = model.eval()(features.batch(torch.arange(23)))
    monkeypatch.setattr(scoring, "BLOCK_PRODUCTS", block)
    torch.testing.assert_close(score(model, features, torch.arange(23)), whole, rtol=1e-4, atol=0)


def test_scores_the_products_asked_for_in_their_order(model: PriceModel, features: Features) -> None:
    everything = score(model, features, torch.arange(23))
    index = torch.tensor([5, 0, 22, 5])
    torch.testing.assert_close(score(model, features, index), everything[index], rtol=1e-4, atol=0)


def test_scores_of_nothing(model: PriceModel, features: Features) -> None:
    assert score(model, features, torch.empty(0, dtype=torch.int64)).shape == (0,)


def test_scores_without_dropout_and_without_gradients(model: PriceModel, features: Features) -> None:
    model.train()
    first, second = (score(model, features, torch.arange(23)) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not first.requires_grad
    assert not model.training


def test_bf16_scores_are_float32_and_close(model: PriceModel, features: Features) -> None:
    exact, rounded = (score(model, features, torch.arange(23), bf16=bf16) for bf16 in (False, True))
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02)


def test_prices_stay_within_bounds() -> None:
    log_prices = torch.tensor([-80.0, 0.0, math.log(15.0), 12.0, 800.0, math.inf])
    prices = to_prices(log_prices, BEFORE)
    assert prices.dtype == np.float64
    assert prices.tolist() == pytest.approx([0.0, 0.0, 14.0, math.expm1(12.0), 1e6, 1e6], rel=1e-6)


def test_gate_weights_are_those_of_the_head_in_any_block(
    model: PriceModel, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = torch.tensor([5, 0, 22, 5])
    monkeypatch.setattr(scoring, "BLOCK_PRODUCTS", 3)
    weights = gate_weights(model, features, index)
    if not isinstance(model.head, Mixture):
        assert weights.shape == (4, 0)
        return
    assert weights.shape == (4, 3)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(4))
    torch.testing.assert_close(weights[0], weights[3])
    expected = model.head.gate_weights(model.features(features.batch(index)))
    torch.testing.assert_close(weights, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("head", [{"kind": "mlp", "hidden": [16]}, {"kind": "mixture", "hidden": [16]}])
@pytest.mark.parametrize("fusion", ["concat", "attention", "hierarchical"])
def test_in_whole_blocks_a_product_gets_the_same_bits_among_any_others(
    tiny_sources: dict[str, SourceParameters], features: Features, head: dict[str, object], fusion: str
) -> None:
    parameters = {"branch": {"width": 16}, "fusion": {"kind": fusion}, "head": head}
    model = PriceModel(tiny_sources, ModelParameters.model_validate(parameters))
    everything = score(model, features, torch.arange(23), whole_blocks=True)
    for products in (1, 5, 700):
        index = torch.randint(23, (products,), generator=torch.Generator().manual_seed(products))
        assert torch.equal(score(model, features, index, whole_blocks=True), everything[index])
