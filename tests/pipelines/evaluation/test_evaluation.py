"""The gate report of evaluation: which rows it is of, and what it warns of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from price_fusion.data.table import EmbeddingTable
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.pipelines.evaluation.nodes import report_gate
from support.prices import SAVED

MakeCheckpoint = Callable[..., Checkpoint]
Data = tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], EmbeddingTable, EmbeddingTable]
ROWS = 60


@pytest.fixture
def data(make_table: Callable[..., EmbeddingTable]) -> Data:
    """Samples, split, and the tables of the two tiny sources. The last twenty products are holdout."""
    generator = np.random.default_rng(0)
    ids = np.arange(ROWS)
    price = np.repeat([8.0, 30.0, 120.0, 300.0], ROWS // 4)
    samples = pd.DataFrame({"sample_id": ids, "price": price})
    split = pd.DataFrame({"sample_id": ids, "split": np.where(ids < 40, "train", "holdout")})
    picture = make_table(ids, generator.normal(size=(ROWS, 5)).astype(np.float32), source="picture")
    words = make_table(ids, generator.normal(size=(ROWS, 9)).astype(np.float32), structural_columns=3)
    return samples, split, SAVED, picture, words


@pytest.mark.parametrize("model", ["mixture", "hierarchical"])
def test_reports_the_evaluated_rows(make_checkpoint: MakeCheckpoint, data: Data, model: str) -> None:
    report = report_gate(make_checkpoint(model), *data)
    assert (report["split"], report["experts"], report["rows"]) == ("holdout", 3, 20)
    assert sum(report["mean_weights"]) == pytest.approx(1, abs=1e-6)
    assert [(part["bin"], part["rows"]) for part in report["by_price"]] == [("100 to 200", 5), ("200 to 500", 15)]
    mean = sum(part["rows"] * np.array(part["mean_weights"]) for part in report["by_price"]) / 20
    assert mean == pytest.approx(report["mean_weights"])


def test_a_model_without_a_gate_has_a_report_too(make_checkpoint: MakeCheckpoint, data: Data) -> None:
    report = report_gate(make_checkpoint("concat"), *data)
    assert report == {
        "split": "holdout",
        "experts": 0,
        "rows": 20,
        "currency": "USD",
        "mean_weights": [],
        "by_price": [],
    }


def test_collapse_is_warned_of_by_variant_and_expert(
    make_checkpoint: MakeCheckpoint, data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = make_checkpoint("mixture")
    checkpoint.weights["head.gate.2.bias"][1] += 100.0
    with caplog.at_level(logging.WARNING):
        report_gate(checkpoint, *data)
    assert "tiny: the gate has collapsed: expert 1 of 3 is idle" in caplog.text
    assert "expert 2 of 3 has all the say on prices of" in caplog.text
