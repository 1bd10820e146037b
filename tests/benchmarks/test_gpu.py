"""The benchmarks for a GPU, rehearsed on the CPU: every part runs to its end, and all that it measures is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from support.measured import run
from support.projects import REPOSITORY


@pytest.mark.parametrize("parts", ["speed,tests,run", pytest.param("ensemble,kills", marks=pytest.mark.slow)])
def test_all_parts_are_rehearsed(parts: str, tmp_path: Path) -> None:
    results, pages = tmp_path / "results", tmp_path / "docs"
    pages.mkdir()
    run("gpu", "--smoke", "--parts", parts, "--output", str(results), "--revision", "abc1234")
    sections = {
        part: json.loads((results / f"gpu_{part}.json").read_text(encoding="utf-8")) for part in parts.split(",")
    }
    for part, section in sections.items():
        assert section["left_out"] == {}, part
        assert section["revision"] == "abc1234"
        for table in section["tables"]:
            assert table["rows"], (part, table["title"])
        assert (results / f"logs/gpu_{part}.log").stat().st_size
    run("report", "--results", str(results), "--output", str(pages), warm=True)
    text = (pages / "benchmarks.md").read_text(encoding="utf-8")
    assert all(f"## {section['title']}" in text for section in sections.values())
    assert str(tmp_path) not in text


def test_figures_without_a_gpu_are_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert "no CUDA device" in run("gpu_speed", "--output", str(tmp_path), fails=True, warm=True)
    assert not list(tmp_path.iterdir())


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    assert "no part 'sped'; there are speed" in run(
        "gpu", "--parts", "sped", "--output", str(tmp_path), fails=True, warm=True
    )


def test_wheels_are_those_of_the_lock_file(tmp_path: Path) -> None:
    path = tmp_path / "wheels.txt"
    run("gpu", "--wheels", str(path), "--present", "torch", "numpy")
    listed = path.read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+", line) for line in listed)
    names = {line.split("==")[0] for line in listed}
    assert {"kedro", "omegaconf", "antlr4-python3-runtime", "pandas", "lightgbm", "pytest", "safetensors"} <= names
    assert not names & {"torch", "numpy", "sympy", "kedro-viz", "mkdocs-material", "ray"}
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").lower().replace("_", "-").replace(".", "-")
    assert all(f"\n{line.replace('.', '-').replace('_', '-')}\n" in lock for line in listed)
