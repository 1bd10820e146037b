"""Numbers that follow from the train rows."""

from __future__ import annotations

import doctest
import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.parameters import TrainParameters
from price_fusion.training import auto
from price_fusion.training.auto import explained, resolved
from price_fusion.training.stacked.members import Member
from price_fusion.training.stacked.stacked_training import train_stacked
from support.problem import fit, make_data, variant

AUTO = TrainParameters(epochs="auto", batch_size="auto", warmup_epochs="auto")


def test_the_example_in_the_docstring_runs() -> None:
    results = doctest.testmod(auto)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(
    ("rows", "batch", "epochs"),
    [
        (1, 16, 400),
        (100, 16, 58),
        (300, 37, 45),
        (1_000, 125, 50),
        (5_184, 256, 20),
        (75_000, 256, 20),
        (10**7, 256, 1),
    ],
)
def test_few_rows_have_smaller_batches_and_more_epochs(rows: int, batch: int, epochs: int) -> None:
    found = resolved(AUTO, rows)
    assert (found.batch_size, found.epochs) == (batch, epochs)
    assert found.warmup_epochs == pytest.approx(0.15 * epochs)


@given(st.integers(1, 10**9))
def test_no_training_is_shorter_than_400_steps_nor_far_longer_than_20_000(rows: int) -> None:
    found = resolved(AUTO, rows)
    a_pass = math.ceil(rows / found.batch_size)
    assert 400 <= a_pass * found.epochs <= max(20_000, a_pass)


@given(st.integers(1, 10**6), st.integers(1, 1_000), st.integers(1, 1_000), st.floats(0, 5))
def test_numbers_that_are_given_stay(rows: int, epochs: int, batch: int, warmup: float) -> None:
    given_all = TrainParameters(epochs=epochs, batch_size=batch, warmup_epochs=warmup)
    assert resolved(given_all, rows).model_dump() == given_all.model_dump()
    assert explained(given_all, rows) is None
    assert resolved(AUTO.model_copy(update={"epochs": epochs}), rows).epochs == epochs
    assert resolved(AUTO.model_copy(update={"batch_size": batch}), rows).batch_size == batch


def test_what_was_resolved_is_logged_and_in_the_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trained = fit(tmp_path, variant(batch_size="auto", warmup_epochs="auto"))
    assert "v: batch 37, 54 steps = 6 epochs, 0.9 of them warm-up, because 300 train rows" in caplog.messages
    train = trained.checkpoint.header.train
    assert train is not None
    assert (train.batch_size, train.epochs, train.warmup_epochs) == (37, 6, pytest.approx(0.9))


def test_members_are_trained_with_the_numbers_that_training_alone_has(tmp_path: Path) -> None:
    parameters, data = variant(batch_size="auto", epochs="auto", warmup_epochs="auto"), make_data()
    data = replace(data, train=data.train[:40], validation=data.train[:0])
    parameters = parameters.model_copy(
        update={
            "train": parameters.train.model_copy(
                update={"schedule": "cosine", "keep": "last", "early_stopping_patience": None}
            )
        }
    )
    alone = fit(tmp_path, parameters, data=data).checkpoint.header
    member = Member(1, data.train, torch.empty(0, dtype=torch.int64))
    (together,) = train_stacked("v", parameters, [member, member], data)[:1]
    assert together.checkpoint.header.train == alone.train
    assert alone.epoch == together.checkpoint.header.epoch == 134
