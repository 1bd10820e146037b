"""What was made from a model that has been replaced is not read beside the model that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from price_fusion.errors import ComparisonError
from price_fusion.hooks import made_from
from price_fusion.runs.project_facts import ProjectFacts, current_project
from support.whole import whole


def node(name: str, inputs: list[str], output: str) -> Node:
    return Node(lambda *values: [str(value) for value in values], inputs, output, name=name)


SPLIT = Pipeline([node("split", ["params:seed"], "table")])
TRAIN = Pipeline([node("fit", ["table", "params:rate"], "model")])
EVALUATE = Pipeline([node("score", ["table", "model"], "scores"), node("count", ["scores"], "metrics")])
REPORT = Pipeline([node("write", ["model", "metrics", "table"], "page")])
PIPELINES = {"all": SPLIT + TRAIN + EVALUATE + REPORT, "train": TRAIN, "evaluate": EVALUATE, "report": REPORT}
FILES = {name: f"{name}.json" for name in ("table", "scores", "metrics", "page")} | {"model": "model/manifest.json"}
Run = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(made_from, "pipelines", PIPELINES)
    monkeypatch.chdir(tmp_path)
    current_project.set(ProjectFacts(tmp_path, tmp_path, {}, None))  # type: ignore[arg-type]
    hooks = _create_hook_manager()
    hooks.register(made_from.MadeFromHooks())

    def run(pipeline: Pipeline, *, only_missing: bool = False, seed: int = 1, rate: float = 0.5) -> None:
        (tmp_path / "model").mkdir(exist_ok=True)
        saved: dict[str, Any] = {name: whole(tmp_path / file) for name, file in FILES.items()}
        saved["model"].is_model = True
        catalog = DataCatalog(saved | {"params:seed": MemoryDataset(seed), "params:rate": MemoryDataset(rate)})
        hooks.hook.before_pipeline_run(
            run_params={"only_missing_outputs": only_missing}, pipeline=pipeline, catalog=catalog
        )
        SequentialRunner().run(pipeline, catalog, hook_manager=hooks, only_missing_outputs=only_missing)

    run(PIPELINES["all"])
    return run


def test_what_is_of_the_model_that_is_there_is_read(run: Run) -> None:
    run(REPORT)
    run(TRAIN)  # the same again
    run(REPORT)


@pytest.mark.parametrize("only_missing", [False, True])
def test_what_is_of_another_model_is_refused_with_the_pipeline_that_makes_it_again(
    run: Run, tmp_path: Path, *, only_missing: bool
) -> None:
    run(TRAIN, rate=0.6)
    before = (tmp_path / "page.json").read_bytes()
    with pytest.raises(ComparisonError) as refused:
        run(REPORT, only_missing=only_missing)
    assert str(refused.value).startswith("metrics is of model/manifest.json with sha256 ")  # through the scores
    assert str(refused.value).endswith("Run first: kedro run --pipelines evaluate")
    assert (tmp_path / "page.json").read_bytes() == before
    run(EVALUATE)
    run(REPORT, only_missing=only_missing)
    assert (tmp_path / "page.json").read_bytes() != before


def test_figures_of_an_earlier_evaluation_are_refused(run: Run) -> None:
    run(TRAIN, rate=0.6)
    run(EVALUATE.filter(node_names=["score"]))
    with pytest.raises(ComparisonError, match=r"^metrics is of scores\.json with sha256"):
        run(REPORT)


def test_a_run_that_trains_the_model_itself_is_refused_before_it_joins_both(run: Run, tmp_path: Path) -> None:
    before = (tmp_path / "page.json").read_bytes()
    with pytest.raises(ComparisonError, match=r"Run first: kedro run --pipelines evaluate$"):
        run(TRAIN + REPORT, rate=0.6)
    assert (tmp_path / "page.json").read_bytes() == before


@pytest.mark.parametrize("only_missing", [False, True])
def test_a_run_that_evaluates_the_model_goes_on(run: Run, *, only_missing: bool) -> None:
    run(TRAIN, rate=0.6)
    run(PIPELINES["all"], only_missing=only_missing, rate=0.6)
    run(TRAIN, rate=0.7)
    run(EVALUATE + REPORT, only_missing=only_missing, rate=0.7)


def test_where_the_pipeline_would_train_too_the_model_that_is_there_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(TRAIN, rate=0.6)
    monkeypatch.setattr(made_from, "pipelines", {"all": PIPELINES["all"]})
    with pytest.raises(ComparisonError, match=r"kedro run --pipelines all --only-missing-outputs$"):
        run(REPORT)
    monkeypatch.setattr(made_from, "pipelines", {})
    with pytest.raises(ComparisonError, match=r"Run the pipeline that makes it first\.$"):
        run(REPORT)


def test_another_table_is_no_other_model(run: Run, tmp_path: Path) -> None:
    """Whether a model may be judged by it is for ``roles.rows_to_report`` to say."""
    run(SPLIT, seed=2)
    run(REPORT)
    (tmp_path / "model/manifest.json").unlink()
    run(EVALUATE.filter(node_names=["count"]))  # a model that is gone replaces none
