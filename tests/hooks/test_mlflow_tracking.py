"""Runs in MLflow: what is logged, where, and what happens when it cannot be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from price_fusion.errors import MissingPackageError, TrackingError
from price_fusion.fusion import Predictor
from price_fusion.hooks import mlflow_tracking
from price_fusion.hooks.mlflow_tracking import (
    LONGEST_VALUE,
    MlflowHooks,
    flat_fields,
    log_checkpoints,
    open_experiment,
    store_errors,
)
from price_fusion.parameters import TrackingParameters

if TYPE_CHECKING:
    pass

pytest.importorskip("mlflow")
pytestmark = [
    # Of MLflow's own code, and of connections of its pool that are closed when they are collected.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in mlflow_tracking.SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("atexit.register", lambda *_: None)
    import mlflow

    yield mlflow
    mlflow.end_run()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def hooks(tmp_path: Path) -> Callable[..., MlflowHooks]:
    """A function that makes the hooks of a project with these tracking options, and opens a run."""

    def make(raw: dict[str, Any] | None = None, **options: Any) -> MlflowHooks:
        tracking = TrackingParameters(**{"mlflow": True, **options})
        facts = SimpleNamespace(
            data=tmp_path / "data", raw=raw or {"seed": 1}, parameters=SimpleNamespace(tracking=tracking)
        )
        made = MlflowHooks(SimpleNamespace(facts=facts))  # type: ignore[arg-type]
        made.after_context_created()
        made.before_pipeline_run({"pipeline_names": ["moe"]})
        return made

    return make


def runs(mlflow: Any) -> list[Any]:
    client = mlflow.MlflowClient()
    return [run for one in client.search_experiments() for run in client.search_runs([one.experiment_id])]


def test_parameters_metrics_and_pages_are_logged(
    hooks: Callable[..., MlflowHooks], mlflow: Any, tmp_path: Path
) -> None:
    one = hooks({"seed": 3, "_anchor": 1, "moe": {"train": {"epochs": 2}, "sources": ["a", "b"]}})
    history = [{"epoch": 1, "loss": 0.5, "smape": None}, {"epoch": 2, "loss": 0.25, "smape": 51.0}]
    one.after_node_run({"moe.history": history, "moe.report": "<p>page</p>"})
    one.after_node_run({"moe.metrics": {"split": "holdout", "rows": 9, "smape": 53.5, "r2": None, "by_tuning": {}}})
    one.after_node_run({"leaderboard": pd.DataFrame({"model": ["moe"], "smape": [53.5]})})
    one.after_pipeline_run({})  # type: ignore[arg-type]
    (run,) = runs(mlflow)
    assert (run.info.run_name, run.info.status) == ("moe", "FINISHED")
    assert run.data.params == {"seed": "3", "moe.train.epochs": "2", "moe.sources": "['a', 'b']"}
    assert run.data.metrics["moe/holdout_smape"] == 53.5
    assert run.data.metrics["best_smape"] == 53.5
    client = mlflow.MlflowClient()
    losses = client.get_metric_history(run.info.run_id, "moe/loss")
    assert [(one.step, one.value) for one in losses] == [(1, 0.5), (2, 0.25)]
    assert {one.path for one in client.list_artifacts(run.info.run_id)} == {"moe_report.html", "leaderboard.json"}
    assert (tmp_path / "data/mlflow/mlflow.db").is_file()
    assert not Path("mlruns").exists()


def test_nothing_is_imported_while_it_is_off(modules_after: Callable[[str], set[str]]) -> None:
    assert "mlflow" not in modules_after("import price_fusion.settings")


def test_a_run_that_fails_is_closed_as_failed(hooks: Callable[..., MlflowHooks], mlflow: Any) -> None:
    hooks().on_pipeline_error()
    assert [run.info.status for run in runs(mlflow)] == ["FAILED"]
    hooks()._close("KILLED")
    assert sorted(run.info.status for run in runs(mlflow)) == ["FAILED", "KILLED"]


def test_a_store_that_cannot_be_used_stops_the_run_by_name(
    hooks: Callable[..., MlflowHooks], mlflow: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match=r"^tracking.uri: sqlite.*cannot be written: .*tracking.mlflow to false"):
        hooks(uri=f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(TrackingError, match=r"http://127.0.0.1:9 cannot be written"):
        hooks(uri="http://127.0.0.1:9")


def test_a_store_that_is_lost_ends_the_logging_and_not_the_run(
    hooks: Callable[..., MlflowHooks], mlflow: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = hooks()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(mlflow, "log_metrics", fail)
    with caplog.at_level(logging.WARNING, "price_fusion"):
        for _ in range(2):
            one.after_node_run({"moe.history": [{"epoch": 1, "loss": 0.5}]})
    (said,) = caplog.messages
    assert said.startswith("the run goes on, but nothing more of it is logged in MLflow: tracking.uri: ")
    one.after_pipeline_run({})  # type: ignore[arg-type]


def test_other_errors_stay_what_they_are(mlflow: Any) -> None:
    with pytest.raises(ZeroDivisionError), store_errors(TrackingParameters(mlflow=True)):
        _ = 1 / 0


def test_without_the_package_it_says_what_to_install(
    hooks: Callable[..., MlflowHooks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_tracking, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"\[mlflow\]"):
        hooks()


def test_long_values_are_cut() -> None:
    fields = flat_fields({"a": {"b": "x" * 7_000}})
    assert len(fields["a.b"]) == LONGEST_VALUE
    assert fields["a.b"].endswith("…")


def test_a_checkpoint_becomes_a_model_that_gives_its_prices(checkpoint_path: Path, mlflow: Any, tmp_path: Path) -> None:
    open_experiment(TrackingParameters(mlflow=True), tmp_path)
    with mlflow.start_run():
        log_checkpoints({"tiny.checkpoint": checkpoint_path})
    (logged,) = mlflow.search_logged_models(output_format="list")
    model = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    picture = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    given = pd.DataFrame({"picture": list(picture)})
    expected = Predictor.load(checkpoint_path).predict({"picture": picture})
    assert model.predict(given)["price"].tolist() == expected.tolist()
    assert [one["name"] for one in model.metadata.signature.inputs.to_dict()] == ["picture", "words"]
    folder = Path(tmp_path / "mlflow/artifacts")
    assert not list(folder.rglob("*.pkl"))
