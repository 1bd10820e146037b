"""Predicting prices: two tables, one for the submission and one with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from price_fusion.metrics.intervals import Calibration
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import InferenceParameters, IntervalParameters
from price_fusion.pipelines.inference.nodes import log_who_predicts, price_products
from price_fusion.selection.cross_validation import LabelledData

PLAIN = ["sample_id", "price"]
BOUNDS = ["price_low", "price_high", "price_low_90", "price_high_90"]


@pytest.mark.parametrize("submitted", [False, True])
@pytest.mark.parametrize("calibrated", [False, True])
def test_intervals_are_in_the_submission_where_asked_for(
    make_checkpoint: Callable[..., Checkpoint],
    make_labelled: Callable[..., LabelledData],
    submitted: bool,
    calibrated: bool,
) -> None:
    labelled = make_labelled()
    samples = labelled.samples.drop(columns="price").iloc[::-1]
    checkpoint = make_checkpoint()
    if calibrated:
        residuals = np.random.default_rng(1).normal(size=40)
        checkpoint = replace(checkpoint, calibration=Calibration(np.full(40, 3.0), residuals))
    submission, intervals = price_products(
        checkpoint,
        samples,
        InferenceParameters(intervals_in_submission=submitted),
        IntervalParameters(),
        False,
        *labelled.tables.values(),
    )
    whole = [*PLAIN, *BOUNDS] if calibrated else PLAIN
    assert list(intervals) == whole
    assert list(submission) == (whole if submitted else PLAIN)
    assert submission["sample_id"].tolist() == labelled.samples["sample_id"].tolist()  # that is, by place
    pd.testing.assert_frame_equal(submission[PLAIN], intervals[PLAIN])


@pytest.mark.parametrize(
    ("rows", "levels", "said"),
    [
        (
            14,
            (0.8, 0.9),
            "tiny: price_intervals.csv has no intervals: 14 products were there to calibrate them on, 20 are",
        ),
        (30, (0.8, 0.95), "30 products were there to calibrate them on, 39 are needed"),
        (None, (0.8, 0.9), "too few products were there to calibrate them on, 20 are needed"),
    ],
)
def test_says_why_there_are_no_intervals_and_what_gives_them(
    make_checkpoint: Callable[..., Checkpoint],
    caplog: pytest.LogCaptureFixture,
    rows: int | None,
    levels: tuple[float, ...],
    said: str,
) -> None:
    checkpoint = make_checkpoint()
    without = replace(checkpoint, header=checkpoint.header.model_copy(update={"calibration_rows": rows}))
    log_who_predicts(without, IntervalParameters(levels=levels), final_fit=False)
    assert said in caplog.text
    assert "predict_kernel_ridge and ensemble" in caplog.text
    caplog.clear()
    log_who_predicts(
        replace(checkpoint, calibration=Calibration(np.ones(40), np.ones(40))), IntervalParameters(), final_fit=False
    )
    assert "no intervals" not in caplog.text
