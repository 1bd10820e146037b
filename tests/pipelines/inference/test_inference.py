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
from price_fusion.pipelines.inference.nodes import price_products
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
