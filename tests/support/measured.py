"""Commands of ``benchmarks`` and ``tests/robustness`` that are run for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.projects import REPOSITORY, TIMEOUT, VARIABLES, warm_kedro


def run(command: str, *arguments: str, fails: bool = False, warm: bool = False) -> str:
    """The real command, on one thread: other tests may be running beside it.

    Args:
        command: a script of ``benchmarks`` or a module of ``tests.robustness``.
        arguments: of the command.
        fails: whether it must.
        warm: whether packages may have been imported already (``warm_kedro.py``); not for what measures or starts others.
    """
    environment = os.environ | VARIABLES | {"OMP_WAIT_POLICY": "PASSIVE"}
    if warm:
        with warm_kedro().start(arguments, REPOSITORY, environment, program=program(command)[-1]) as process:
            printed = process.communicate(TIMEOUT)
        status = process.returncode
    else:
        result = subprocess.run(
            [sys.executable, *program(command), *arguments],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        printed, status = (result.stdout, result.stderr), result.returncode
    assert (status != 0) == fails, printed[0][-4000:] + printed[1][-4000:]
    return "".join(printed)


def program(command: str) -> list[str]:
    """A command as the interpreter's arguments."""
    is_harness = (REPOSITORY / f"tests/robustness/{command}.py").exists()
    return ["-m", f"tests.robustness.{command}"] if is_harness else [f"benchmarks/{command}.py"]


def section_of(command: str, folder: Path, *arguments: str, warm: bool = False) -> dict[str, Any]:
    """Run a command and read the section that it leaves."""
    run(command, *arguments, "--output", str(folder), warm=warm)
    section: dict[str, Any] = json.loads((folder / f"{command}.json").read_text(encoding="utf-8"))
    return section


def assert_smoke_is_reported(command: str, goals: int, page: str, folder: Path) -> None:
    """A command ends at tiny sizes, and ``report.py`` puts its section on the right page."""
    results, pages = folder / "results", folder / "docs"
    pages.mkdir()
    section = section_of(command, results, "--smoke")
    assert section["smoke"]
    assert section["command"] == " ".join(["python", *program(command), "--smoke"])
    assert len(section["goals"]) == goals
    assert section["tables"]
    for table in section["tables"]:
        keys = {column["key"] for column in table["columns"]}
        assert table["rows"]
        assert keys <= set().union(*table["rows"])

    run("report", "--results", str(results), "--output", str(pages), warm=True)
    (written,) = pages.iterdir()
    assert written.name == page
    text = written.read_text(encoding="utf-8")
    assert f"## {section['title']}" in text
    assert section["command"] in text
    assert "these figures mean nothing" in text
    assert str(folder) not in text
