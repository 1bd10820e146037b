"""Each run leaves a record, however it ended; ``kedro price-fusion runs`` lists and compares them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from support.projects import SHORT, Project

RUNS = "data/08_reporting/runs"


def records(project: Project) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((project.path / RUNS).glob("*/run.json"))]


def test_a_run_leaves_what_it_was_asked_and_what_came_of_it(trained_project: Project) -> None:
    (record,) = (one for one in records(trained_project) if one["pipelines"] == ["__default__"])
    data = trained_project.path / "data"
    assert record["status"] == "finished"
    assert record["parameters"]["moe"]["train"]["epochs"] == 2
    assert record["options"]["runtime_params"]["moe"]["train"]["epochs"] == 2
    assert record["training"] == {"moe": {"epochs": 2, "batch_size": 256, "warmup_epochs": 3.0}}
    assert record["metrics"]["moe"]["metrics"] == json.loads((data / "08_reporting/moe/metrics.json").read_text())
    checkpoint = (data / "06_models/moe/checkpoint.safetensors").read_bytes()
    assert record["digests"]["moe.checkpoint"] == sha256(checkpoint).hexdigest()
    assert record["versions"]["torch"]
    assert record["nodes"]["moe.train"] > 0
    assert sum(record["nodes"].values()) <= record["seconds"]
    assert record["git"] is None  # the project of this test is no repository


def test_failed_runs_are_kept_with_their_error(trained_project: Project, copy_of: Callable[[Project], Project]) -> None:
    project = copy_of(trained_project)
    (project.path / "data/06_models/moe/checkpoint.safetensors").unlink()
    project.kedro("run", "--pipelines", "evaluate_moe", fails=True)
    last = records(project)[-1]
    assert (last["status"], last["error"]["class"]) == ("failed", "DatasetFileError")
    assert "checkpoint" in last["error"]["message"]
    listed = project.kedro("price-fusion", "runs").stdout
    assert "DatasetFileError: data/06_models/moe/checkpoint.safetensors: no checkpoint here." in " ".join(
        listed.split()
    )


def test_runs_are_listed_shown_and_compared(trained_project: Project, copy_of: Callable[[Project], Project]) -> None:
    project = copy_of(trained_project)
    project.kedro("run", "--pipelines", "moe", "--tags", "evaluate", "--params", f"{SHORT},seed=7")
    first, second = (one["id"] for one in records(project)[-2:])
    listed = project.kedro("price-fusion", "runs").stdout
    assert first in listed
    assert "seed=7" in listed
    as_json = json.loads(project.kedro("price-fusion", "runs", "--json").stdout)
    assert [one["id"] for one in as_json][-1] == second
    assert json.loads(project.kedro("price-fusion", "runs", "show", second).stdout)["id"] == second
    compared = project.kedro("price-fusion", "runs", "compare", first, second).stdout
    assert "moe.metrics.smape" in compared
    assert [line.split()[-1] for line in compared.splitlines() if line.strip().startswith("seed")] == ["7"]
    wrong = project.kedro("price-fusion", "runs", "show", f"{second}x", fails=True).stderr
    assert f"Did you mean {second}" in wrong
    assert "Traceback" not in wrong


def test_before_the_first_run_it_says_how_to_begin(sample_project: Project, tmp_path: Path) -> None:
    project = sample_project.fresh_copy(tmp_path / "project")
    for path in (project.path / RUNS).glob("*"):
        (path / "run.json").unlink()
    assert "No runs in" in project.kedro("price-fusion", "runs").stdout


def test_a_line_of_configuration_logs_runs_with_mlflow(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    pytest.importorskip("mlflow")
    project = copy_of(trained_project)
    (project.path / "conf/local").mkdir(exist_ok=True)
    (project.path / "conf/local/parameters.yml").write_text("tracking: {mlflow: true}\n")
    said = project.kedro("run", "--pipelines", "train_moe", "--from-nodes", "moe.train", "--params", SHORT)
    assert "logged in MLflow: mlflow ui --backend-store-uri sqlite:///" in said.stdout
    assert "Warning" not in said.stdout + said.stderr
    with closing(sqlite3.connect(project.path / "data/mlflow/mlflow.db")) as store:
        assert store.execute("SELECT name, status FROM runs").fetchall() == [("train_moe", "FINISHED")]
        epochs = store.execute("SELECT step FROM metrics WHERE key = 'moe/loss' ORDER BY step").fetchall()
        assert epochs == [(1,), (2,)]
        assert store.execute("SELECT value FROM params WHERE key = 'moe.train.epochs'").fetchall() == [("2",)]
        assert store.execute("SELECT name FROM logged_models").fetchall() == [("moe",)]
