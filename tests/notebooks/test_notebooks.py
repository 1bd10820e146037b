"""The notebooks have no outputs in the repository, and run from top to bottom on a small project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from support.projects import Project

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def test_there_are_four() -> None:
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_kept(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(nbformat.from_dict(notebook))
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_without_error_or_warning(path: Path, compared_project: Project, tmp_path: Path) -> None:
    folder = compared_project.path / "notebooks"
    folder.mkdir(exist_ok=True)
    output = tmp_path / path.name
    script = REPOSITORY / "tests/support/run_notebook.py"
    environment = os.environ | {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    environment["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    words = [sys.executable, str(script), str(path), str(folder), str(output)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    notebook = nbformat.read(output, as_version=4)
    outputs = [one for cell in notebook.cells if cell.cell_type == "code" for one in cell.outputs]
    said = "".join(one.text for one in outputs if one.output_type == "stream" and one.name == "stderr")
    assert not said
    shown = [one for one in outputs if one.output_type in ("execute_result", "display_data")]
    assert len(shown) >= 4
