"""Derived files: there while they are no older than what they were made from."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from price_fusion.datasets.derived import DerivedCSVDataset, DerivedJSONDataset

FRAME = pd.DataFrame({"a": [1, 2]})


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint"
    path.touch()
    os.utime(path, ns=(1_000, 1_000))
    return path


@pytest.fixture(params=["csv", "json"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path, origin: Path) -> DerivedCSVDataset | DerivedJSONDataset:
    """A dataset of each kind, already saved."""
    made_from = {"filepath": str(origin)}
    if request.param == "csv":
        table = DerivedCSVDataset(filepath=str(tmp_path / "table.csv"), made_from=made_from, save_args={"index": False})
        table.save(FRAME)
        return table
    document = DerivedJSONDataset(filepath=str(tmp_path / "document.json"), made_from=made_from)
    document.save({"a": 1})
    return document


def test_is_there_while_it_is_the_newer_one(dataset: DerivedCSVDataset) -> None:
    assert dataset.exists()


def test_is_missing_once_its_origin_is_newer(dataset: DerivedCSVDataset, origin: Path) -> None:
    later = Path(str(dataset._filepath)).stat().st_mtime_ns + 1_000_000
    os.utime(origin, ns=(later, later))
    assert not dataset.exists()
    dataset.load()  # what is on disk can still be looked at


def test_is_missing_without_its_origin(dataset: DerivedCSVDataset, origin: Path) -> None:
    origin.unlink()
    assert not dataset.exists()


def test_is_missing_without_a_file(dataset: DerivedCSVDataset) -> None:
    Path(str(dataset._filepath)).unlink()
    assert not dataset.exists()


def test_contents_are_those_of_the_plain_datasets(tmp_path: Path, origin: Path) -> None:
    path = tmp_path / "table.csv"
    table = DerivedCSVDataset(
        filepath=str(path), made_from={"filepath": str(origin)}, save_args={"index": False}, metadata={"layer": "x"}
    )
    table.save(FRAME)
    assert path.read_text() == "a\n1\n2\n"
    pd.testing.assert_frame_equal(table.load(), FRAME)
    assert table.metadata == {"layer": "x"}
