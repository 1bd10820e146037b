"""What was made from a model that has been replaced is not read beside the model that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks import _create_hook_manager
from kedro.io import DataCatalog, DatasetError, MemoryDataset
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
FILES = {name: f"{name}.json" for name in ("table", "page")} | {
    name: f"reports/{name}.json" for name in ("scores", "metrics")
}
Run = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(made_from, "pipelines", PIPELINES)
    monkeypatch.chdir(tmp_path)
    current_project.set(ProjectFacts(tmp_path, tmp_path, {}, None))  # type: ignore[arg-type]
    hooks = _create_hook_manager()
    hooks.register(made_from.MadeFromHooks())

    def run(
        pipeline: Pipeline, *, only_missing: bool = False, seed: int = 1, rate: float = 0.5, model: str = "model"
    ) -> None:
        saved: dict[str, Any] = {name: whole(tmp_path / file) for name, file in FILES.items()}
        saved["model"] = whole(tmp_path / f"{model}.json")
        saved["model"].is_model = True
        catalog = DataCatalog(saved | {"params:seed": MemoryDataset(seed), "params:rate": MemoryDataset(rate)})
        hooks.hook.before_pipeline_run(
            run_params={"only_missing_outputs": only_missing}, pipeline=pipeline, catalog=catalog
        )
        SequentialRunner().run(pipeline, catalog, hook_manager=hooks, only_missing_outputs=only_missing)

    run(PIPELINES["all"])
    return run


def test_what_is_of_the_model_that_is_there_is_read(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run(REPORT)
    run(TRAIN)  # the same again
    run(REPORT)
    assert "no record" not in caplog.text


@pytest.mark.parametrize("only_missing", [False, True])
def test_what_is_of_another_model_is_refused_with_the_pipeline_that_makes_it_again(
    run: Run, tmp_path: Path, *, only_missing: bool
) -> None:
    run(TRAIN, rate=0.6)
    before = (tmp_path / "page.json").read_bytes()
    with pytest.raises(ComparisonError, match=r"^model has been replaced \(.*\) since it made metrics\. .*") as refused:
        run(REPORT, only_missing=only_missing)
    assert str(refused.value).endswith("Run first: kedro run --pipelines evaluate")
    assert (tmp_path / "page.json").read_bytes() == before
    run(EVALUATE)
    run(REPORT, only_missing=only_missing)
    assert (tmp_path / "page.json").read_bytes() != before


def test_the_models_are_compared_and_not_what_lies_between(run: Run, tmp_path: Path) -> None:
    run(TRAIN, rate=0.6)
    run(EVALUATE.filter(node_names=["score"]))
    with pytest.raises(ComparisonError, match="since it made metrics"):
        run(REPORT)
    for file in (tmp_path / "reports/scores.json", tmp_path / "reports/.scores.json.sha256"):
        file.unlink()
    with pytest.raises(ComparisonError, match="since it made metrics"):
        run(REPORT)


def test_the_model_is_the_one_that_the_catalog_names(run: Run) -> None:
    run(TRAIN, rate=0.6, model="second")
    with pytest.raises(ComparisonError, match="since it made metrics"):
        run(REPORT, model="second")
    run(REPORT)


def test_a_linked_folder_hides_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "further").mkdir()
    (tmp_path / "reports").rename(tmp_path / "further/reports")
    (tmp_path / "reports").symlink_to(tmp_path / "further/reports")
    run(TRAIN, rate=0.6)
    with pytest.raises(ComparisonError, match="since it made metrics"):
        run(REPORT)


def test_a_lost_record_is_said(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "reports/.metrics.json.sha256").unlink()
    run(REPORT)
    assert "no record says whether the model that is there made these: metrics of model" in caplog.text
    assert "Run first: kedro run --pipelines evaluate" in caplog.text
    (tmp_path / "reports/metrics.json").unlink()
    caplog.clear()
    with pytest.raises(DatasetError):
        run(REPORT)
    assert "no record" not in caplog.text


def test_a_run_that_makes_the_model_and_not_its_figures_is_refused_before_it_begins(run: Run, tmp_path: Path) -> None:
    before = (tmp_path / "model.json").read_bytes()
    for rate in (0.5, 0.6):
        with pytest.raises(
            ComparisonError,
            match=r"^this run makes model, but not what it reads of it \(metrics\)\..*Add to --pipelines: evaluate$",
        ):
            run(TRAIN + REPORT, rate=rate)
    assert (tmp_path / "model.json").read_bytes() == before
    run(TRAIN, rate=0.6)  # the figures are stale now, and are made again
    run(TRAIN + EVALUATE + REPORT, rate=0.7)


def test_a_model_that_is_kept_is_not_made(run: Run) -> None:
    run(TRAIN + REPORT, only_missing=True)
    with pytest.raises(ComparisonError, match=r"this run makes model"):
        run(TRAIN + REPORT, only_missing=True, rate=0.6)


@pytest.mark.parametrize("only_missing", [False, True])
def test_a_run_that_evaluates_the_model_goes_on(run: Run, *, only_missing: bool) -> None:
    run(TRAIN, rate=0.6)
    run(PIPELINES["all"], only_missing=only_missing, rate=0.6)
    run(TRAIN, rate=0.7)
    run(EVALUATE + REPORT, only_missing=only_missing, rate=0.7)


def test_a_pipeline_that_would_make_the_model_anew_is_named_only_where_no_other_makes_the_figures(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(TRAIN, rate=0.6)
    count, score = (EVALUATE.filter(node_names=[name]) for name in ("count", "score"))
    monkeypatch.setattr(made_from, "pipelines", {"small": TRAIN + score + count, "large": EVALUATE + REPORT + SPLIT})
    with pytest.raises(ComparisonError, match=r"Run first: kedro run --pipelines large$"):
        run(REPORT)
    monkeypatch.setattr(made_from, "pipelines", {"all": PIPELINES["all"]})
    with pytest.raises(
        ComparisonError, match=r"with the --params that the model was made with.* all --only-missing-outputs$"
    ):
        run(REPORT)
    monkeypatch.setattr(made_from, "pipelines", {})
    with pytest.raises(ComparisonError, match=r"Run the pipeline that makes them first\.$"):
        run(REPORT)


def test_another_table_is_no_other_model(run: Run, tmp_path: Path) -> None:
    """Whether a model may be judged by it is for ``roles.rows_to_report`` to say."""
    run(SPLIT, seed=2)
    run(REPORT)
    (tmp_path / "model.json").unlink()
    run(EVALUATE.filter(node_names=["count"]))  # a model that is gone replaces none
