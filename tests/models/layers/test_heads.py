"""Heads: from fused features to one log price a product."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from price_fusion.models.layers.dropout import Dropout
from price_fusion.models.layers.heads import Mixture, Mlp, ResidualMlp, build_head
from price_fusion.parameters import MixtureHead, MlpHead

HEADS: list[MlpHead | MixtureHead] = [
    MlpHead(hidden=(8, 4)),
    MlpHead(hidden=(8, 4), residual=False),
    MixtureHead(hidden=(8, 4), gate_hidden=5),
    MixtureHead(hidden=(8, 4), gate_hidden=0),
]


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(6, 10, generator=torch.Generator().manual_seed(1))


def head(parameters: MlpHead | MixtureHead) -> Mlp | Mixture:
    torch.manual_seed(0)
    return build_head(parameters, 10).eval()


@pytest.mark.parametrize(("parameters", "kind"), list(zip(HEADS, [ResidualMlp, Mlp, Mixture, Mixture], strict=True)))
def test_builds_what_the_parameters_say(
    parameters: MlpHead | MixtureHead, kind: type[nn.Module], features: torch.Tensor
) -> None:
    made = head(parameters)
    assert type(made) is kind
    assert made(features).shape == (6,)
    assert made(features[:1]).shape == (1,)


def test_hidden_layers_have_the_widths_and_parts_they_should() -> None:
    made = Mlp(10, (8, 4), dropout=0.25)
    assert [type(layer) for layer in made.hidden] == [nn.Linear, nn.LayerNorm, nn.GELU, Dropout] * 2
    linears = [layer for layer in made.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linears] == [(10, 8), (8, 4), (4, 1)]
    assert {layer.probability for layer in made.modules() if isinstance(layer, Dropout)} == {0.25}


def test_no_hidden_layers_are_a_linear_map(features: torch.Tensor) -> None:
    made = Mlp(10, (), dropout=0.0)
    torch.testing.assert_close(made(features), features @ made.output.weight[0] + made.output.bias)


def test_the_residual_is_a_linear_map_of_the_features(features: torch.Tensor) -> None:
    made = head(MlpHead(hidden=(8, 4)))
    assert isinstance(made, ResidualMlp)
    added = made(features) - Mlp.forward(made, features)
    torch.testing.assert_close(added, features @ made.residual.weight[0])
    assert made.residual.bias is None


def test_gate_weights_sum_to_one(features: torch.Tensor) -> None:
    made = head(MixtureHead(experts=4, hidden=(8,), gate_hidden=5))
    assert isinstance(made, Mixture)
    weights = made.gate_weights(features)
    assert weights.shape == (6, 4)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(6))
    assert weights.std(dim=0).min() > 0


def test_a_gate_without_a_hidden_layer_is_one_linear_map(features: torch.Tensor) -> None:
    made = head(HEADS[3])
    assert isinstance(made, Mixture)
    (linear,) = made.gate
    expected = torch.softmax(features @ linear.weight.T + linear.bias, dim=1)
    torch.testing.assert_close(made.gate_weights(features), expected)


def test_a_mixture_is_the_weighted_mean_of_its_experts(features: torch.Tensor) -> None:
    made = head(HEADS[2])
    assert isinstance(made, Mixture)
    opinions = [expert(features) for expert in made.experts]
    weights = made.gate_weights(features)
    expected = sum(weights[:, number] * opinion for number, opinion in enumerate(opinions))
    torch.testing.assert_close(made(features), expected)
    low, high = torch.stack(opinions).aminmax(dim=0)
    assert ((made(features) >= low - 1e-6) & (made(features) <= high + 1e-6)).all()


def test_experts_differ_from_the_start(features: torch.Tensor) -> None:
    made = head(HEADS[2])
    assert isinstance(made, Mixture)
    first, second, third = (expert(features) for expert in made.experts)
    assert not torch.allclose(first, second)
    assert not torch.allclose(second, third)


@pytest.mark.parametrize("parameters", HEADS)
def test_predictions_start_around_the_value_they_are_given(
    parameters: MlpHead | MixtureHead, features: torch.Tensor
) -> None:
    made = head(parameters)
    made.start_at(0.0)
    around_zero = made(features)
    made.start_at(2.7)
    torch.testing.assert_close(made(features), around_zero + 2.7)


@pytest.mark.parametrize("parameters", HEADS)
def test_dropout_acts_in_training_alone(parameters: MlpHead | MixtureHead, features: torch.Tensor) -> None:
    made = head(parameters)
    torch.testing.assert_close(made(features), made(features), rtol=0, atol=0)
    made.train()
    assert not torch.equal(made(features), made(features))
