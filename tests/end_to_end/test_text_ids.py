"""Products whose ids are text, from raw files to a submission: none is lost, and each keeps what belongs to it."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from support.projects import SHORT, Project


def as_text(number: int) -> str:
    """Ids of the kinds that programs like to take for something else."""
    return {0: f"{number:07d}", 1: f"B-{number}", 2: f"{number}e2", 3: f"{number}.0", 4: f'x, "{number}" é'}[number % 5]


def rename_products(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *([as_text(int(number)), *others] for number, *others in rows)])


def rename_embeddings(folder: Path) -> None:
    for path in folder.rglob("*ids.npy"):
        np.save(path, np.array([as_text(number) for number in np.load(path).tolist()]))
    for path in folder.rglob("*.pkl"):
        content = pickle.loads(path.read_bytes())
        content["sample_ids"] = [as_text(number) for number in content["sample_ids"]]
        path.write_bytes(pickle.dumps(content))


def table(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.fixture
def renamed(sample_project: Project, copy_of: Callable[[Project], Project]) -> Project:
    project = copy_of(sample_project)
    raw = project.path / "data/01_raw"
    for name in ("train.csv", "test.csv"):
        rename_products(raw / "dataset" / name)
    rename_embeddings(raw / "embeddings")
    return project


def test_text_ids_stay_with_their_products(renamed: Project) -> None:
    renamed.kedro("run", "--params", SHORT)
    wanted = table(renamed.path / "data/01_raw/dataset/test.csv")
    submission = table(renamed.path / "data/07_model_output/moe/test_out.csv")
    assert [row[0] for row in submission] == [row[0] for row in wanted]
    header, *labelled = table(renamed.path / "data/01_raw/dataset/train.csv")
    price_of = {row[0]: float(row[header.index("price")]) for row in labelled}
    names, *evaluated = table(renamed.path / "data/08_reporting/moe/evaluation_results.csv")
    assert len(evaluated) > 10
    assert [float(row[names.index("price")]) for row in evaluated] == [price_of[row[0]] for row in evaluated]
    report = json.loads((renamed.path / "data/08_reporting/moe/train_alignment_report.json").read_text())
    assert report["rows_in_all_sources"] > 0.9 * len(labelled)

    # The leaderboard reads evaluations and baselines back from CSV, and refuses those of other products.
    renamed.kedro("run", "--pipelines", "compare", "--only-missing-outputs", "--params", SHORT + ",variants=[moe]")
    leaderboard = table(renamed.path / "data/08_reporting/leaderboard.csv")
    assert "moe" in [row[0] for row in leaderboard]
