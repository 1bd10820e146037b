"""Measurements on a machine on loan: what is done is written, what is not is named, and nothing outlives its time."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import pytest

from budget import NOT_REACHED, Budget, TimeUpError, run_limited
from common import Column, ResultTable, Section
from timing import ImpossibleFigureError, Timings


@pytest.fixture
def options(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(seconds=60.0, output=tmp_path, smoke=True, revision="abc1234")


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "some.json").read_text(encoding="utf-8"))
    return found


def section_with(rows: list[dict[str, int]]) -> Section:
    return Section("some", "Some", "none", tables=[ResultTable("Rows", [Column("number", "number", "d")], rows)])


def numbered(rows: list[dict[str, int]], number: int) -> Callable[[], None]:
    return lambda: rows.append({"number": number})


def test_each_measurement_is_on_disk_before_the_next_begins(options: argparse.Namespace, tmp_path: Path) -> None:
    rows: list[dict[str, int]] = []

    def see_the_first() -> None:
        found = written(tmp_path)
        assert found["tables"][0]["rows"] == [{"number": 1}]
        assert found["left_out"] == {"second": NOT_REACHED}
        assert found["revision"] == "abc1234"

    Budget(section_with(rows), options).spend({"first": numbered(rows, 1), "second": see_the_first})
    assert written(tmp_path)["left_out"] == {}


def test_what_is_impossible_or_fails_is_left_out_and_the_rest_is_kept(
    options: argparse.Namespace, tmp_path: Path
) -> None:
    rows: list[dict[str, int]] = []

    def of_nothing() -> None:
        Timings("an epoch", 600).note(0, 1e-6)

    def refused() -> None:
        raise RuntimeError("no compiler\non this machine")

    with pytest.raises(SystemExit, match="a measurement failed"):
        Budget(section_with(rows), options).spend(
            {"nothing": of_nothing, "compiled": refused, "last": numbered(rows, 3)}
        )
    found = written(tmp_path)
    assert found["tables"][0]["rows"] == [{"number": 3}]
    assert found["left_out"]["nothing"].startswith(f"{ImpossibleFigureError.__name__}: an epoch: 0 of 600 rows")
    assert found["left_out"]["compiled"] == "RuntimeError: no compiler"


def test_nothing_begins_when_time_is_up(options: argparse.Namespace, tmp_path: Path) -> None:
    options.seconds = 0.0
    rows: list[dict[str, int]] = []
    Budget(section_with(rows), options).spend({"first": numbered(rows, 1)})
    assert not rows
    assert written(tmp_path)["left_out"] == {"first": NOT_REACHED}


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    child = f"import subprocess, sys; print(subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(60)']).pid, flush=True)"
    began = perf_counter()
    with pytest.raises(TimeUpError, match="stopped after 2 s"):
        run_limited([sys.executable, "-c", f"{child}; import time; time.sleep(60)"], 2.0, tmp_path / "log")
    assert perf_counter() - began < 20
    process = int((tmp_path / "log").read_text())
    state = Path(f"/proc/{process}/stat")
    while state.exists() and state.read_text().split()[2] != "Z" and perf_counter() - began < 20:
        sleep(0.1)  # a signal takes its time on a busy machine
    assert not state.exists() or state.read_text().split()[2] == "Z" or os.name != "posix"


def test_a_command_that_ends_gives_its_status(tmp_path: Path) -> None:
    status, seconds = run_limited([sys.executable, "-c", "print('said'); raise SystemExit(3)"], 60.0, tmp_path / "log")
    assert status == 3
    assert 0 < seconds < 60
    assert (tmp_path / "log").read_text() == "said\n"
