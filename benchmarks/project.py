"""A project of its own for measurements of the real ``kedro run``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE = "fabrication.labelled=300,fabrication.unlabelled=60"
"""Parameters of a small fabricated sample."""


def make_project(path: Path, runs: Sequence[Sequence[str]]) -> Path:
    """The repository's configuration in a folder of its own, and what some runs of ``kedro run`` make there.

    Args:
        path: of the new project.
        runs: arguments of each.
    """
    shutil.copytree(REPOSITORY / "conf", path / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(REPOSITORY / name, path / name)
    (path / "src").mkdir()
    for arguments in runs:
        command = [sys.executable, "-m", "kedro", "run", *arguments]
        subprocess.run(command, cwd=path, check=True, capture_output=True)
    return path
