"""Calibrating a network: on the rows named, and not at all where they are too few."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from price_fusion import Predictor
from price_fusion.evaluation.calibration import calibrated
from price_fusion.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from price_fusion.selection.cross_validation import LabelledData


@pytest.fixture(scope="module")
def labelled(make_labelled: Callable[..., LabelledData]) -> LabelledData:
    return make_labelled()


def test_residuals_are_of_the_rows_named(
    make_checkpoint: Callable[..., Checkpoint], labelled: LabelledData, tmp_path: Path
) -> None:
    rows = np.arange(7, 60, 2)
    checkpoint = calibrated(make_checkpoint(), labelled.samples, rows, labelled.tables, [0.8])
    chosen = labelled.samples.iloc[rows]
    log_prices = np.log1p(Predictor(checkpoint).predict_samples(chosen, labelled.tables))
    assert checkpoint.calibration is not None
    np.testing.assert_allclose(checkpoint.calibration.log_prices, log_prices, rtol=1e-6)
    np.testing.assert_allclose(checkpoint.calibration.residuals, np.log1p(chosen["price"]) - log_prices, atol=1e-6)

    save_checkpoint(tmp_path / "c.safetensors", checkpoint)
    read = load_checkpoint(tmp_path / "c.safetensors")
    assert read.calibration is not None
    np.testing.assert_array_equal(read.calibration.residuals, checkpoint.calibration.residuals)
    assert set(read.weights) == set(make_checkpoint().weights)


@pytest.mark.parametrize(("rows", "levels", "needed"), [(19, [0.5], 20), (38, [0.8, 0.95], 39)])
def test_too_few_rows_are_warned_of_and_leave_it_uncalibrated(
    make_checkpoint: Callable[..., Checkpoint],
    labelled: LabelledData,
    caplog: pytest.LogCaptureFixture,
    rows: int,
    levels: list[float],
    needed: int,
) -> None:
    checkpoint = make_checkpoint()
    with caplog.at_level(logging.WARNING):
        without = calibrated(checkpoint, labelled.samples, np.arange(rows), labelled.tables, levels)
    assert without.calibration is None
    assert without.header.calibration_rows == rows
    assert f"tiny: {rows} rows to calibrate intervals on, {needed} are needed" in caplog.text
    assert "splitting.proportions" in caplog.text
    caplog.clear()
    more = calibrated(checkpoint, labelled.samples, np.arange(needed), labelled.tables, levels)
    assert "rows to calibrate" not in caplog.text
    assert more.header.calibration_rows is None
    assert len(Predictor(more).price_samples(labelled.samples, labelled.tables, levels)) == 90
