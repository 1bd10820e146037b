"""Tuning through the real command line, up to a run with the parameters that it found."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import yaml

from support.projects import Project

pytest.importorskip("optuna")

CONFIGURATION: dict[str, Any] = {
    "variants": ["two_branch"],
    "two_branch": {"sources": ["qwen_text", "quantity"], "model": {"branch": {"width": 32}, "head": {"hidden": [16]}}},
    "tuning": {
        "trials": 3,
        "space": {
            "train.epochs": {"low": 1, "high": 2, "step": None},
            "model.branch.width": None,
            "model.head.hidden": {"choices": [[16], [32, 16]]},
        },
    },
}
VARIABLES = {"KEDRO_ENV": "small"}


def test_what_tuning_finds_is_a_configuration_that_runs(
    sample_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(sample_project)
    small = project.path / "conf/small"
    small.mkdir()
    (small / "parameters.yml").write_text(yaml.safe_dump(CONFIGURATION))
    short = ("run", "--params", "two_branch.train.epochs=2", "--pipelines", "tune_two_branch")
    first = project.kedro(*short, environment=VARIABLES)
    reports, models = project.path / "data/08_reporting/two_branch", project.path / "data/06_models/two_branch"
    trials = pd.read_csv(reports / "tuning_trials.csv")
    summary = json.loads((reports / "tuning_summary.json").read_text())
    assert len(trials) == 3
    assert trials["train.epochs"][0] == 2
    assert summary["best_smape"] == trials["smape"].min() <= summary["configured_smape"] == trials["smape"][0]
    assert "trial 2 (3 of 3)" in first.stdout + first.stderr

    again = project.kedro(*short, "--from-nodes", "two_branch.tune", environment=VARIABLES)
    assert "goes on after 3 finished trials" in " ".join((again.stdout + again.stderr).split())
    pd.testing.assert_frame_equal(pd.read_csv(reports / "tuning_trials.csv"), trials)

    best = yaml.safe_load((models / "tuning/parameters_two_branch.yml").read_text())["two_branch"]
    advice = again.stdout[again.stdout.index("To train with these parameters") :].splitlines()
    assert (
        "remove two_branch.model.head.hidden from conf/small/parameters.yml (a field may be in one file of" in advice[0]
    )
    written = CONFIGURATION | {"two_branch": {"sources": ["qwen_text", "quantity"], "model": {"branch": {"width": 32}}}}
    (small / "parameters.yml").write_text(yaml.safe_dump(written))
    copy, run = (shlex.split(line) for line in advice[1:3])
    assert (copy[0], run) == ("cp", ["kedro", "run", "--env", "small", "--pipelines", "two_branch"])
    shutil.copy(project.path / copy[1], project.path / copy[2])
    project.kedro(*run[1:], "--from-nodes", "two_branch.train", "--to-nodes", "two_branch.train")
    history = json.loads((models / "training_history.json").read_text())
    assert len(history) == best["train"]["epochs"]
    assert history[-1]["smape"] == pytest.approx(summary["best_smape"])


def test_a_wrong_path_in_the_space_stops_a_run_before_its_first_node(
    sample_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(sample_project)
    wrong = {"tuning": {"space": {"train.learning_rte": {"low": 0.1, "high": 0.2}}}}
    (project.path / "conf/local").mkdir(exist_ok=True)
    (project.path / "conf/local/parameters.yml").write_text(yaml.safe_dump(wrong))
    result = project.kedro("run", "--pipelines", "tune_moe", fails=True)
    said = " ".join((result.stdout + result.stderr).split())
    assert "did you mean 'train.learning_rate'?" in said
    assert "Running node" not in said
