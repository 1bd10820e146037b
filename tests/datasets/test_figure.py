"""Pictures: there while they are no older than all that they show, and shown by Kedro-Viz."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from price_fusion.datasets.figure import DerivedFigureDataset


@pytest.fixture
def origins(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("first.csv", "second.csv")]
    for path in paths:
        path.touch()
        os.utime(path, ns=(1_000, 1_000))
    return paths


@pytest.fixture
def dataset(tmp_path: Path, origins: list[Path]) -> DerivedFigureDataset:
    made_from = {path.stem: {"filepath": str(path)} for path in origins}
    return DerivedFigureDataset(filepath=str(tmp_path / "new" / "picture.png"), made_from=made_from)


def test_is_there_once_saved_and_can_be_previewed(dataset: DerivedFigureDataset, tmp_path: Path) -> None:
    assert not dataset.exists()
    dataset.save(Figure())
    assert dataset.exists()
    assert (tmp_path / "new/picture.png").read_bytes().startswith(b"\x89PNG")
    assert dataset.preview()
    assert inspect.signature(dataset.preview).return_annotation == "ImagePreview"  # what Kedro-Viz looks at


@pytest.mark.parametrize("which", [0, 1])
def test_is_missing_once_an_origin_is_newer_or_gone(
    dataset: DerivedFigureDataset, origins: list[Path], tmp_path: Path, which: int
) -> None:
    dataset.save(Figure())
    later = (tmp_path / "new/picture.png").stat().st_mtime_ns + 1_000_000
    os.utime(origins[which], ns=(later, later))
    assert not dataset.exists()
    os.utime(origins[which], ns=(1_000, 1_000))
    assert dataset.exists()
    origins[which].unlink()
    assert not dataset.exists()
