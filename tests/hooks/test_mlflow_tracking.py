"""Runs in MLflow: what is logged, where, and what happens when it cannot be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from price_fusion import Predictor
from price_fusion.errors import MissingPackageError, TrackingError
from price_fusion.hooks.active_runs import ActiveRuns
from price_fusion.hooks.mlflow_tracking import MlflowHooks
from price_fusion.parameters import TrackingParameters
from price_fusion.runs import tracking
from price_fusion.runs.journal import NodeTime, journal_of
from price_fusion.runs.tracking import LONGEST_VALUE, flat_fields, log_checkpoints, open_experiment, store_errors

pytest.importorskip("mlflow")
pytestmark = [
    # Of MLflow's own code, and of connections of its pool that are closed when they are collected.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in tracking.SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("atexit.register", lambda *_: None)
    import mlflow

    yield mlflow
    mlflow.end_run()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def tracked(runs: ActiveRuns, stepped: Callable[..., Any]) -> Callable[..., Any]:
    """A function that begins a run that is logged; its outputs are those of the names that are given."""

    def make(outputs: dict[str, Any] | None = None, **options: Any) -> Any:
        run = stepped("3", MlflowHooks(runs), mlflow=True, **options)
        run.begin()
        for name, data in (outputs or {}).items():
            run.catalog[name] = data
            journal_of(run.catalog).add(NodeTime(name, [name], 1.0, None))  # type: ignore[union-attr]
        return run

    return make


def logged_runs(mlflow: Any) -> list[Any]:
    client = mlflow.MlflowClient()
    return [run for one in client.search_experiments() for run in client.search_runs([one.experiment_id])]


def test_parameters_metrics_and_pages_are_logged(tracked: Callable[..., Any], mlflow: Any, tmp_path: Path) -> None:
    tracked(
        {
            "moe.history": [{"epoch": 1, "loss": 0.5, "smape": None}, {"epoch": 2, "loss": 0.25, "smape": 51.0}],
            "moe.report": "<p>page</p>",
            "wide.metrics": {"split": "holdout", "rows": 9, "smape": 53.5, "r2": None, "by_tuning": {}},
            "leaderboard": pd.DataFrame({"model": ["moe"], "smape": [53.5]}),
        }
    ).end()
    (run,) = logged_runs(mlflow)
    assert (run.info.run_name, run.info.status) == ("moe", "FINISHED")
    assert run.data.params == {"seed": "3"}
    assert run.data.metrics["wide/holdout_smape"] == 53.5
    assert run.data.metrics["best_smape"] == 53.5
    client = mlflow.MlflowClient()
    losses = client.get_metric_history(run.info.run_id, "moe/loss")
    assert [(one.step, one.value) for one in losses] == [(1, 0.5), (2, 0.25)]
    assert {one.path for one in client.list_artifacts(run.info.run_id)} == {"moe_report.html", "leaderboard.json"}
    assert (tmp_path / "data/mlflow/mlflow.db").is_file()
    assert not Path("mlruns").exists()


def test_nothing_is_imported_while_it_is_off(modules_after: Callable[[str], set[str]]) -> None:
    assert "mlflow" not in modules_after("import price_fusion.settings")


def test_a_run_that_fails_is_closed_as_failed(tracked: Callable[..., Any], mlflow: Any, runs: ActiveRuns) -> None:
    tracked().fail(ValueError("no"))
    assert [run.info.status for run in logged_runs(mlflow)] == ["FAILED"]
    tracked()
    runs._at_exit()
    assert sorted(run.info.status for run in logged_runs(mlflow)) == ["FAILED", "KILLED"]


def test_a_store_that_cannot_be_used_stops_the_run_by_name(
    tracked: Callable[..., Any], mlflow: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match=r"^tracking.uri: sqlite.*cannot be written: .*tracking.mlflow to false"):
        tracked(uri=f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(TrackingError, match=r"http://127.0.0.1:9 cannot be written"):
        tracked(uri="http://127.0.0.1:9")


def test_a_store_that_is_lost_ends_the_logging_and_not_the_run(
    tracked: Callable[..., Any], mlflow: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = tracked({"moe.history": [{"epoch": 1, "loss": 0.5}]})

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(mlflow, "log_metrics", fail)
    with caplog.at_level(logging.WARNING, "price_fusion"):
        one.end()
    (said,) = caplog.messages
    assert said.startswith("the run is over, but not all of it is logged in MLflow: tracking.uri: ")
    assert one.records[0]["status"] == "finished"


def test_other_errors_stay_what_they_are(mlflow: Any) -> None:
    with pytest.raises(ZeroDivisionError), store_errors(TrackingParameters(mlflow=True)):
        _ = 1 / 0


def test_without_the_package_it_says_what_to_install(
    tracked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("price_fusion.hooks.mlflow_tracking.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"\[mlflow\]"):
        tracked()


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
