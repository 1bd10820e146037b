"""Predicting prices: two tables, one for the submission and one with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from price_fusion.data.columns import draft_columns
from price_fusion.data.table import EmbeddingTable, write_table
from price_fusion.metrics.intervals import Calibration
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import ColumnSourceParameters, InferenceParameters, IntervalParameters, SourceParameters
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


def test_new_products_of_unknown_categories_are_warned_of(
    make_checkpoint: Callable[..., Checkpoint],
    make_labelled: Callable[..., LabelledData],
    tiny_sources: dict[str, SourceParameters],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    labelled = make_labelled()
    facts = ColumnSourceParameters(
        kind="columns", group="facts", categorical=("organic",), vocabulary={"organic": ("false", "true")}
    )
    checkpoint = make_checkpoint(sources=tiny_sources | {"facts": facts})

    def run(values: list[str]) -> str:
        frame = labelled.samples[["sample_id"]].assign(organic=values * 45)
        folder = tmp_path / values[0]
        write_table(folder, "facts", draft_columns(frame, facts.model_copy(update={"vocabulary": {}}), "test.csv"))
        caplog.clear()
        price_products(
            checkpoint,
            labelled.samples,
            InferenceParameters(),
            IntervalParameters(),
            False,
            *labelled.tables.values(),
            EmbeddingTable(folder),
        )
        return caplog.text

    assert "column 'organic'" not in run(["true", "false"])
    assert "test_products: column 'organic': of 2 different values, the model knows none" in run(["TRUE", "FALSE"])


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
