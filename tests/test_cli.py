"""Options of ``kedro price-fusion``, with folders of runs in place of a project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from price_fusion import cli
from price_fusion.runs.past_runs import RECORD, runs_folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder per environment, each with one run that is called as it."""
    for env in ("base", "lamps"):
        folder = runs_folder(tmp_path / env) / f"run-of-{env}"
        folder.mkdir(parents=True)
        record = {"id": folder.name, "status": "finished", "metrics": {}, "parameters": {}, "pipelines": []}
        (folder / RECORD).write_text(json.dumps(record))
    monkeypatch.setattr(cli, "_data_folder", lambda env: tmp_path / (env or "base"))
    return tmp_path


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("arguments", "kedro_env", "shown"),
    [
        ("runs show run", None, "base"),
        ("runs --env lamps show run", None, "lamps"),
        ("runs show --env lamps run", None, "lamps"),
        ("runs show run -e lamps", None, "lamps"),
        ("runs show run", "lamps", "lamps"),
        ("runs --env lamps show run", "base", "lamps"),
        ("runs show run --env lamps", "base", "lamps"),
    ],
)
def test_runs_of_an_environment_are_shown(arguments: str, kedro_env: str | None, shown: str) -> None:
    result = CliRunner().invoke(cli.price_fusion, arguments.split(), env={"KEDRO_ENV": kedro_env})
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["id"] == f"run-of-{shown}"


@pytest.mark.usefixtures("data")
def test_runs_of_an_environment_are_compared() -> None:
    for arguments in ("runs compare run run --env lamps", "runs --env lamps compare run run"):
        result = CliRunner().invoke(cli.price_fusion, arguments.split(), env={"KEDRO_ENV": None})
        assert result.exit_code == 0, result.output
        assert "run-of-lamps" in result.stdout


@pytest.mark.usefixtures("data")
def test_the_list_says_how_to_see_more_of_an_environment() -> None:
    result = CliRunner().invoke(cli.price_fusion, ["runs", "--env", "lamps"])
    assert "kedro price-fusion runs --env lamps show ID" in result.output
