"""Pipelines that are added to ``pipelines/``: which are found, and what is said of those that cannot be built."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from price_fusion import pipelines
from price_fusion.errors import PipelineError
from price_fusion.own_pipelines import BUILT_IN, own_names, own_pipelines

Add = Callable[..., Path]
INIT = "from .pipeline import create_pipeline\n"
PIPELINE = """
from kedro.pipeline import Node, Pipeline


def create_pipeline(**kwargs):
    return Pipeline([Node(len, "train_products", "number", name="count")])
"""


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """A function that adds a folder to ``pipelines/``."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    known = set(sys.modules)

    def add(name: str, init: str = INIT, pipeline: str = PIPELINE) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text(init)
        (folder / "pipeline.py").write_text(pipeline)
        return folder

    yield add
    for name in set(sys.modules) - known:
        if name.startswith(f"{pipelines.__name__}."):
            del sys.modules[name]
            vars(pipelines).pop(name.removeprefix(f"{pipelines.__name__}.").partition(".")[0], None)


def test_every_folder_of_the_project_is_built_in() -> None:
    assert own_names() == ()
    assert {path.parent.name for path in Path(pipelines.__path__[0]).glob("*/__init__.py")} == BUILT_IN


def test_added_folders_are_found_by_name(add: Add, tmp_path: Path) -> None:
    add("shelf_count")
    add("_set_aside", pipeline="no python")
    (tmp_path / "deleted/__pycache__").mkdir(parents=True)
    (found,) = own_pipelines(taken=["moe"]).items()
    assert found[0] == "shelf_count"
    assert [node.name for node in found[1].nodes] == ["count"]


def test_a_name_that_is_taken_is_refused(add: Add) -> None:
    folder = add("moe")
    with pytest.raises(PipelineError, match=f"{folder}: there is a pipeline or a section .* called 'moe' already"):
        own_pipelines(taken=["moe"])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"pipeline": "import numbers\nimport nowhere_to_be_found\n"},
            r"pipeline.py, line 2: ModuleNotFoundError: No module",
        ),
        ({"pipeline": "def create_pipeline(:\n"}, r"pipeline.py, line 1: SyntaxError: "),
        ({"pipeline": "def create_pipeline():\n    return Pipeline([])\n"}, r"pipeline.py, line 2: NameError: "),
        (
            {"pipeline": "def create_pipeline(sources):\n    return sources\n"},
            r"broken: TypeError: .* missing 1 required",
        ),
        (
            {"pipeline": "def create_pipeline():\n    return 41\n"},
            r"pipeline.py: create_pipeline\(\) gives int, expected",
        ),
        ({"init": ""}, r"__init__.py: has no create_pipeline, expected 'from .pipeline import create_pipeline'"),
    ],
)
def test_one_that_cannot_be_built_is_named_by_file_and_line(add: Add, files: dict[str, str], said: str) -> None:
    add("broken", **files)
    with pytest.raises(PipelineError, match=said):
        own_pipelines(taken=[])
