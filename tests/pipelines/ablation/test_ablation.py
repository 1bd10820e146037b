"""The wiring of ablation, and what is printed of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from price_fusion.pipelines import ablation
from price_fusion.runs.summary import RunSummary
from price_fusion.selection.ablation import NOT_ASKED_FOR

TABLES = {"picture.train_table", "words.train_table"}


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
def test_retraining_sees_no_checkpoint_and_permutation_no_training() -> None:
    pipeline = ablation.create_pipeline("moe", ["picture", "words"])
    nodes = {node.name: node for node in pipeline.nodes}
    data = {"train_samples", "split_table", *TABLES}
    settings = {"params:ablation", "params:comparison", "params:seed"}
    assert set(nodes["moe.permute_sources"].inputs) == {"moe.checkpoint", *data, *settings}
    assert set(nodes["moe.retrain_without_sources"].inputs) == {"params:moe.folder", "params:moe", *data, *settings}
    assert pipeline.outputs() == {"moe.ablation_figure"}
    assert {tag for node in pipeline.nodes for tag in node.tags} == {"ablate"}


def importance(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "part": ["words", "words: structural 1"],
            "importance_points": [3.5, -0.25],
            "importance_points_low": [3.0, -0.5],
            "importance_points_high": [4.0, 0.125],
            "reversed": [0.0, 0.125],
        }
        | columns
    )


def test_a_run_ends_with_both_tables() -> None:
    summary, console = RunSummary(), Console(width=100)
    summary.add("moe.permutation_importance", importance())
    skipped = importance(skipped=[None, NOT_ASKED_FOR], importance_points=[3.5, np.nan])
    summary.add("moe.retraining_importance", skipped)
    with console.capture() as captured:
        summary.print(console)
    printed = captured.get()
    for words in (
        "Sources of moe by permutation: rise of SMAPE",
        "Sources of moe by retraining",
    ):
        assert words in printed
    lines = [" ".join(line.replace("│", " ").split()) for line in printed.splitlines()]
    assert lines.count("words +3.50 [+3.00, +4.00] 0.0") == 2
    assert "words: structural 1 -0.25 [-0.50, +0.12] 12.5" in lines
    assert f"words: structural 1 skipped: {NOT_ASKED_FOR}" in lines
