"""Learning rates, against torch's own scheduler and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from price_fusion.parameters import TrainParameters
from price_fusion.training.step.schedules import Schedule, plateau_epochs


@given(st.lists(st.floats(1, 200), min_size=1, max_size=60), st.integers(0, 4))
def test_plateau_is_that_of_torch(smapes: list[float], patience: int) -> None:
    parameters = TrainParameters(plateau_patience=patience, plateau_factor=0.5, min_learning_rate=1e-5)
    ours = Schedule(parameters, steps_per_epoch=3)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=parameters.learning_rate)
    theirs = ReduceLROnPlateau(optimizer, factor=0.5, patience=patience, min_lr=1e-5)
    for smape in smapes:
        ours.epoch_ended(smape)
        theirs.step(smape)
        assert ours.rate(0) == pytest.approx(optimizer.param_groups[0]["lr"])


@given(st.lists(st.floats(1, 200), min_size=1, max_size=40), st.integers(0, 3))
def test_the_drops_of_a_training_can_be_repeated_without_validation(smapes: list[float], patience: int) -> None:
    parameters = TrainParameters(
        plateau_patience=patience, warmup_epochs=1.5, keep="last", early_stopping_patience=None
    )
    first, epochs = Schedule(parameters, steps_per_epoch=3), len(smapes)
    rates = []
    for epoch, smape in enumerate(smapes):
        rates += [first.rate(3 * epoch + step) for step in range(3)]
        first.epoch_ended(smape)
    given_epochs = parameters.model_copy(update={"plateau_epochs": plateau_epochs(parameters, smapes)})
    assert not given_epochs.selects
    again = Schedule(given_epochs, steps_per_epoch=3)
    assert [again.rate(step) for step in range(3 * epochs)] == rates
    assert plateau_epochs(given_epochs, smapes) == given_epochs.plateau_epochs


def test_cosine_falls_from_the_rate_to_the_minimum_over_all_steps() -> None:
    parameters = TrainParameters(schedule="cosine", epochs=10, learning_rate=1e-2, min_learning_rate=1e-4)
    schedule = Schedule(parameters, steps_per_epoch=10)
    assert schedule.rate(0) == pytest.approx(1e-2)
    assert schedule.rate(50) == pytest.approx(1e-4 + (1e-2 - 1e-4) * 0.5 * (1 + math.cos(math.pi / 2)))
    assert schedule.rate(100) == schedule.rate(1000) == pytest.approx(1e-4)


def test_warmup_rises_in_equal_parts() -> None:
    schedule = Schedule(TrainParameters(schedule="constant", warmup_epochs=0.5, learning_rate=1.0), steps_per_epoch=8)
    assert [schedule.rate(step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_state_carries_over() -> None:
    first = Schedule(TrainParameters(plateau_patience=1), steps_per_epoch=1)
    for smape in (50.0, 51.0, 52.0, 53.0):
        first.epoch_ended(smape)
    second = Schedule(TrainParameters(plateau_patience=1), steps_per_epoch=1)
    second.load(first.state())
    for schedule in (first, second):
        schedule.epoch_ended(54.0)
    assert first == second
    assert first.rate(0) < 1e-3
