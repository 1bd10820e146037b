"""Progress of a run: which epoch was best, and when there are no more."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.errors import TrainingError
from price_fusion.parameters import TrainParameters
from price_fusion.training.training_run import RunProgress, check_selection

SMAPES = st.lists(st.floats(0, 200), min_size=1, max_size=30)


def run_of(smapes: list[float], options: TrainParameters) -> tuple[RunProgress, list[bool]]:
    """Progress after as many of these epochs as the options let happen, and which of them were better."""
    progress, better = RunProgress(), []
    for epoch, smape in enumerate(smapes, start=1):
        if progress.is_over(options):
            break
        better.append(progress.note({"epoch": epoch, "smape": smape}))
    return progress, better


@given(SMAPES, st.none() | st.integers(1, 5), st.integers(1, 30))
def test_the_best_epoch_is_the_first_of_the_lowest_smape(
    smapes: list[float], patience: int | None, epochs: int
) -> None:
    options = TrainParameters(epochs=epochs, early_stopping_patience=patience)
    progress, better = run_of(smapes, options)
    happened = smapes[: progress.epoch]
    assert len(progress.history) == len(better) == progress.epoch <= epochs
    assert progress.best_smape == min(happened)
    assert progress.best_epoch == happened.index(min(happened)) + 1
    assert better == [all(smape < earlier for earlier in happened[:place]) for place, smape in enumerate(happened)]
    if patience is None:
        assert progress.epoch == min(epochs, len(smapes))
    else:
        assert progress.epoch - progress.best_epoch <= patience
        early = progress.epoch < min(epochs, len(smapes))
        assert not early or progress.epoch - progress.best_epoch == patience


@pytest.mark.parametrize("smape", [{}, {"smape": math.nan}, {"smape": math.inf}])
def test_without_a_smape_the_first_epoch_counts_as_the_best_once(smape: dict[str, Any]) -> None:
    progress = RunProgress()
    assert [progress.note({"epoch": epoch} | smape) for epoch in (1, 2, 3)] == [True, False, False]
    assert progress.note({"epoch": 4, "smape": 60.0}) is not math.isnan(smape.get("smape", 0.0))


def test_a_run_that_has_not_begun_is_not_over() -> None:
    assert not RunProgress().is_over(TrainParameters(epochs=1, early_stopping_patience=1))


def test_selecting_on_no_rows_is_refused_and_training_on_them_alone_is_not() -> None:
    nothing = TrainParameters(schedule="cosine", keep="last", early_stopping_patience=None)
    check_selection("v", nothing, 0)
    check_selection("v", TrainParameters(), 1)
    with pytest.raises(
        TrainingError, match=r"v: there are no validation rows to select on\. Set v\.train\.keep to 'last'"
    ):
        check_selection("v", TrainParameters(), 0)
