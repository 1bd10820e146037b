"""Records of runs: which are listed, how they are found, and what is said to differ."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from price_fusion.errors import UsageError
from price_fusion.runs.past_runs import (
    comparison_tables,
    find_run,
    parameter_differences,
    past_runs,
    reason_of,
    runs_table,
    smape_of,
)
from price_fusion.storage.lock import only_writer


def record(identity: str, **changes: Any) -> dict[str, Any]:
    return {"id": identity, "status": "finished", "process": os.getpid(), "seconds": 3.2, "parameters": {}} | changes


def write(data: Path, one: dict[str, Any]) -> None:
    path = data / "08_reporting/runs" / one["id"] / "run.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(one))


def printed(*tables: object) -> str:
    console = Console(file=io.StringIO(), width=160)
    for table in tables:
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_runs_come_in_the_order_of_their_start(tmp_path: Path) -> None:
    for identity in ("20260102T000000-moe-1", "20260101T000000-moe-2"):
        write(tmp_path, record(identity))
    assert [run["id"] for run in past_runs(tmp_path)] == ["20260101T000000-moe-2", "20260102T000000-moe-1"]
    assert past_runs(tmp_path / "elsewhere") == []


def test_only_the_run_that_holds_the_folder_is_running(tmp_path: Path) -> None:
    for identity in ("a", "b"):
        write(tmp_path, record(identity, status="running"))  # this process, as after a start of another container
    assert [run["status"] for run in past_runs(tmp_path)] == ["killed", "killed"]
    with only_writer(tmp_path, "b"):
        assert [run["status"] for run in past_runs(tmp_path)] == ["killed", "running"]
    assert [run["status"] for run in past_runs(tmp_path)] == ["killed", "killed"]


def test_a_record_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, record("a"))
    (tmp_path / "08_reporting/runs/b").mkdir()
    (tmp_path / "08_reporting/runs/b/run.json").write_text('{"id": ')
    runs = past_runs(tmp_path)
    assert [(run["id"], run["status"]) for run in runs] == [("a", "finished"), ("b", "unreadable")]
    assert "unreadable" in printed(runs_table(runs))


def test_a_part_of_an_id_is_enough_if_it_is_of_one_run() -> None:
    runs = [record("20260101T000000-moe-12"), record("20260101T000000-moe-123"), record("20260102T000000-compare-9")]
    assert find_run(runs, "compare") is runs[2]
    assert find_run(runs, runs[0]["id"]) is runs[0]
    with pytest.raises(
        UsageError, match=r"2 runs are called 'moe', expected one. Did you mean 20260101T000000-moe-12 or"
    ):
        find_run(runs, "moe")
    with pytest.raises(UsageError, match=r"0 runs .* Did you mean 20260102T000000-compare-9"):
        find_run(runs, "20260102T000000-comapre-9")
    with pytest.raises(UsageError, match="See all: kedro price-fusion runs"):
        find_run([], "moe")


def test_parameters_that_differ_are_found_by_their_path() -> None:
    before = record("a", parameters={"seed": 1, "moe": {"train": {"epochs": 20, "loss": "smape"}}})
    after = record("b", parameters={"seed": 1, "moe": {"train": {"epochs": 30, "loss": "smape", "ema_decay": 0.9}}})
    assert parameter_differences([before, after]) == {"moe.train.epochs": [20, 30], "moe.train.ema_decay": [None, 0.9]}
    assert parameter_differences([before]) == {}


def test_a_list_says_what_changed_and_what_came_of_it() -> None:
    runs = [
        record("a", parameters={"seed": 1}, metrics={"moe": {"metrics": {"smape": 53.219}}}),
        record("b", parameters={"seed": 2}, git={"commit": "0123456789abcdef", "changed": True}),
    ]
    lines = printed(runs_table(runs)).splitlines()
    assert "moe 53.22" in next(line for line in lines if line.startswith(" a "))
    (last,) = (line for line in lines if line.startswith(" b "))
    assert "01234567+" in last
    assert "seed=2" in last


def test_a_list_says_why_runs_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    message = f"2 problems in 1 input(s) of this run:\n  1. {tmp_path}/data/train.csv: [/b] " + "is not there, " * 20
    failed = record("a", status="failed", error={"class": "DataError", "message": message}, parameters={"seed": 1})
    reason = reason_of(failed)
    assert reason.startswith(
        "DataError: 2 problems in 1 input(s) of this run: 1. data/train.csv: [/b] is not there, is"
    )
    assert reason.endswith(" ...")
    assert len(reason) <= 160
    text = printed(runs_table([record("b", parameters={"seed": 2}), failed]))
    assert "data/train.csv: [/b] is not" in " ".join(text.split())
    assert "seed=1" in text
    assert reason_of(record("c")) == ""


def test_a_comparison_has_metrics_and_parameters_side_by_side() -> None:
    runs = [
        record("a", parameters={"seed": 1}, metrics={"moe": {"metrics": {"smape": 53.219, "rows": 800}}}),
        record("b", parameters={"seed": 2}, metrics={"moe": {"metrics": {"smape": 51.0, "rows": 800}}}),
    ]
    text = printed(*comparison_tables(runs))
    (smape,) = (line.split() for line in text.splitlines() if "smape" in line)
    assert smape == ["moe.metrics.smape", "53.219", "51"]
    (seed,) = (line.split() for line in text.splitlines() if line.strip().startswith("seed"))
    assert seed == ["seed", "1", "2"]


def test_smape_of_a_users_own_may_be_anything() -> None:
    metrics = {name: {"metrics": {"smape": value}} for name, value in (("a", "n/a"), ("b", None), ("moe", 41.5))}
    assert smape_of(record("x", metrics=metrics)) == {"moe": 41.5}
    assert "moe 41.50" in printed(runs_table([record("x", metrics=metrics)]))
