"""``make viz-build``: the lineage of an environment, as a run of it sees the project. No run begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.projects import Project


@pytest.fixture
def shop(sample_project: Project, copy_of: Callable[[Project], Project]) -> Project:
    """A project with an environment of its own."""
    project = copy_of(sample_project)
    folder = project.path / "conf/shop"
    folder.mkdir()
    (folder / "parameters.yml").write_text("variants: [two_branch]\ncompute: {partitions: 2}\n")
    return project


def state_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_it_is_of_the_environment_and_leaves_the_data_alone(shop: Project) -> None:
    before = state_of(shop.path / "data")
    said = shop.make("viz-build", "ENV=shop")
    assert "Moved to build/viz" in said.stdout
    assert "WARNING" not in said.stdout + said.stderr
    assert state_of(shop.path / "data") == before

    def answer(address: str) -> Any:
        return json.loads((shop.path / "build/viz/api" / address).read_text())

    assert {"two_branch", "moe"} & {one["id"] for one in answer("main")["pipelines"]} == {"two_branch"}
    nodes = {one["name"]: one for one in answer("pipelines/two_branch")["nodes"]}
    assert nodes["train_product_files"]["layer"] == "raw"
    folder = answer(f"nodes/{nodes['params:two_branch.folder']['id']}")["parameters"]
    assert folder == {"two_branch.folder": str(shop.path / "data/06_models/two_branch")}


def test_one_that_cannot_be_built_leaves_the_other_sites_alone(shop: Project) -> None:
    (shop.path / "build/docs").mkdir(parents=True)
    (shop.path / "conf/shop/parameters.yml").write_text("variants: [three_branch]\n")
    assert "three_branch" in shop.make("viz-build", "ENV=shop", fails=True).stdout
    assert [path.name for path in (shop.path / "build").iterdir()] == ["docs"]
