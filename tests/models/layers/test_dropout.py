"""Dropout with few random draws."""

from __future__ import annotations

import pytest
import torch

from price_fusion.models.layers.dropout import Dropout


@pytest.mark.parametrize("probability", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_zeroed_or_scaled_up_so_that_the_mean_stays(probability: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dropped = Dropout(probability)(torch.ones(1001, 301, dtype=dtype)).float()
    assert dropped.unique().numel() == 2
    assert (dropped == 0).float().mean() == pytest.approx(probability, abs=0.003)
    assert dropped.mean() == pytest.approx(1, abs=0.01)


def test_neighbours_are_zeroed_independently() -> None:
    torch.manual_seed(0)
    zeroed = (Dropout(0.5)(torch.ones(4000, 64)) == 0).float() - 0.5
    correlation = zeroed.T @ zeroed / len(zeroed) * 4 - torch.eye(64)
    assert correlation.abs().max() < 0.08


def test_nothing_happens_outside_training_or_at_zero() -> None:
    values = torch.randn(5, 3)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values


def test_the_gradient_passes_where_the_value_did() -> None:
    torch.manual_seed(0)
    values = torch.ones(64, requires_grad=True)
    dropped = Dropout(0.5)(values)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, dropped.detach())


def test_the_same_seed_gives_the_same_mask() -> None:
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(Dropout(0.3)(torch.ones(100)))
    assert torch.equal(*masks)
