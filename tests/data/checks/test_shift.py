"""Test embeddings that are not of the encoder of train, or not normalised as it is, and those that are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from price_fusion.data.checks.shift import (
    LEAST,
    SAMPLE,
    Shift,
    sampled,
    shift_between,
    suspicions_of_shift,
)
from price_fusion.data.table import EmbeddingTable

MakeTable = Callable[..., EmbeddingTable]
Matrix = NDArray[np.float64]

WIDTH = 96
LOADINGS = np.random.default_rng(99).normal(size=(12, WIDTH)) * np.geomspace(3, 0.5, 12)[:, None]


def encoded(rows: int, seed: int) -> Matrix:
    """Embeddings of one encoder: a few topics, a mean, and noise, of norms that vary."""
    generator = np.random.default_rng(seed)
    rows_of = generator.normal(size=(rows, 12)) @ LOADINGS + LOADINGS[0] + generator.normal(size=(rows, WIDTH))
    return np.asarray(rows_of * generator.lognormal(0, 0.2, size=(rows, 1)))


def rotated(rows: Matrix) -> Matrix:
    rotation, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(WIDTH, WIDTH)))
    return np.asarray(rows @ rotation)


@pytest.mark.parametrize("train", [50, 137, 900])
@pytest.mark.parametrize("test", [50, 400])
def test_nothing_is_said_of_one_encoder(train: int, test: int) -> None:
    for seed in range(10):
        shift = shift_between(encoded(train, seed), encoded(test, seed + 100))
        assert list(shift.reasons()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rotated, "the cosine to the nearest train row is 0."),
        (
            lambda rows: rows @ np.random.default_rng(6).normal(size=(WIDTH, WIDTH)) / WIDTH**0.5,
            "the cosine to the nearest",
        ),
        (lambda rows: rows[:, np.random.default_rng(7).permutation(WIDTH)], "the cosine to the nearest"),
        (lambda rows: rows[:, ::-1], "the cosine to the nearest"),
        (lambda rows: rows * 2, "norms are "),
        (lambda rows: rows * 0.01, "norms are "),
        (lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True), "norms are 1 where train has "),
        (lambda rows: rows + rows.std(), "times the spread of train from the mean of train"),
        (lambda rows: rows.mean(axis=0) + 0.2 * (rows - rows.mean(axis=0)), "their spread is 0."),
    ],
)
@pytest.mark.parametrize("test", [50, 400])
def test_another_encoder_or_normalisation_is_found(change: Callable[[Matrix], Matrix], said: str, test: int) -> None:
    reasons = list(shift_between(encoded(300, 1), change(encoded(test, 2))).reasons())
    assert any(said in reason for reason in reasons), reasons


def test_figures_are_those_of_their_definitions() -> None:
    train, test = encoded(200, 1), encoded(80, 2) * 1.5 + 1
    shift = shift_between(train, test)
    assert shift.norms == pytest.approx([np.median(np.linalg.norm(rows, axis=1)) for rows in (train, test)])
    assert shift.spread == pytest.approx(np.sqrt(np.trace(np.cov(test.T)) / np.trace(np.cov(train.T))))
    gap = np.sum((train.mean(0) - test.mean(0)) ** 2) - np.trace(np.cov(train.T)) / 200 - np.trace(np.cov(test.T)) / 80
    assert shift.centres_apart == pytest.approx(np.sqrt(gap / np.trace(np.cov(train.T))))
    one, other = (rows - rows.mean(0) for rows in (train[1::2], train[::2]))
    cosines = [max(a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in other) for a in one]
    assert shift.nearest == pytest.approx(np.median(cosines))


def test_norms_that_only_rounding_tells_apart_are_the_same() -> None:
    rows = encoded(300, 1)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert shift_between(units[:150], (units[150:] * 1.001)).norms_apart == 0
    assert shift_between(units[:150], units[150:] * 1.1).norms_apart == 1


def test_rows_are_taken_evenly_from_all_shards_and_zeros_are_left_out() -> None:
    matrix = np.arange(4_000, dtype=np.float32)[:, None] + np.zeros((1, 3), np.float32)
    chosen = sampled([matrix[:1_500], matrix[1_500:1_501], matrix[1_501:]])[:, 0]
    assert len(chosen) == SAMPLE - 1  # row 0 is of zeros
    assert np.diff(chosen).max() <= 4
    assert chosen[-1] == 3_999


@pytest.fixture
def tables(make_table: MakeTable) -> Callable[..., list[Any]]:
    def suspicions(train: Matrix, test: Matrix) -> list[Any]:
        made = [make_table(np.arange(len(rows)), rows.astype(np.float32)) for rows in (train, test)]
        return list(suspicions_of_shift(*made))

    return suspicions


def test_one_suspicion_a_source_with_all_figures(tables: Callable[..., list[Any]]) -> None:
    assert tables(encoded(120, 1), encoded(60, 2)) == []
    (suspicion,) = tables(encoded(120, 1), rotated(encoded(60, 2)) * 4)
    assert suspicion.check == "test_unlike_train"
    assert "norms are" in str(suspicion)
    assert "nearest train row" in str(suspicion)
    assert "60 of 60 rows. Check that both" in str(suspicion)


def test_few_rows_say_too_little(tables: Callable[..., list[Any]]) -> None:
    assert tables(encoded(120, 1), rotated(encoded(LEAST - 1, 2)) * 9) == []


def test_rows_that_are_all_the_same_do_not_divide_by_zero() -> None:
    same = np.ones((60, WIDTH))
    assert isinstance(shift_between(same, same), Shift)
    assert list(shift_between(same, same).reasons()) == []
    assert "their spread is" in " ".join(shift_between(encoded(60, 1), same).reasons())
