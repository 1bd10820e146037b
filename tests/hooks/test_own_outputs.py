"""Outputs of a user's own pipelines whose names end like those of built-in ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from price_fusion.hooks.summary import BEST_PARAMETERS, SHOWN, SummaryHooks
from price_fusion.own_pipelines import own_outputs
from price_fusion.pipelines.evaluation.nodes import summarise
from price_fusion.runs.journal import Journal, NodeTime
from price_fusion.runs.record import LEADERBOARD, METRICS
from price_fusion.runs.tracking import LOGGED

ENDINGS = sorted({*SHOWN, *LOGGED, *METRICS, LEADERBOARD, BEST_PARAMETERS, ".checkpoint"})
NAMES = [f"shop{ending}" if ending.startswith(".") else f"shop_{ending}" for ending in ENDINGS]
WHATEVER: list[Any] = [None, "gold", [1.5], {"smape": "n/a"}, pd.DataFrame({"margin": [1.0]})]


def measure() -> None:
    """What a user measures."""


pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")


@pytest.fixture
def own() -> Pipeline:
    """A pipeline of a user's, with an output for each ending."""
    return Pipeline([Node(measure, None, NAMES, name="measure")])


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "nodes.jsonl")
    journal.add(NodeTime("measure", NAMES, 1.0, None))
    return journal


def test_outputs_are_own_where_the_function_is_not_of_a_built_in_pipeline(own: Pipeline) -> None:
    built_in = [Node(summarise, ["a", "b"], "moe.metrics", name="one"), Node(partial(len), "c", "d", name="two")]
    assert own_outputs(Pipeline(built_in)) == {"d"}
    assert own_outputs(own) == set(NAMES)


@pytest.mark.parametrize("data", WHATEVER)
def test_they_do_not_break_the_summary(
    data: Any, own: Pipeline, journal: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = DataCatalog({"run_journal": MemoryDataset(journal, copy_mode="assign")})
    for name in NAMES:
        catalog[name] = MemoryDataset(data, copy_mode="assign")
    SummaryHooks().after_pipeline_run({"project_path": str(tmp_path), "env": None}, own, catalog)
    assert "measure" in capsys.readouterr().out


def test_only_mappings_are_metrics(journal: Journal) -> None:
    catalog = DataCatalog(
        {"shop.metrics": MemoryDataset({"hits": 0.5}), "shop.out_of_fold_metrics": MemoryDataset("gold")}
    )
    assert journal.metrics(catalog, METRICS) == {"shop.metrics": {"hits": 0.5}}
    assert not journal.outputs(catalog, METRICS, without=NAMES)
