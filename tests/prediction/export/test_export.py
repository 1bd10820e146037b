"""Exported graphs give the checkpoint's prices, in any batch, with and without sources."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from price_fusion.data.table import EmbeddingTable
from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.export_folder import ExportDataset
from price_fusion.errors import CheckpointError, MissingPackageError

if TYPE_CHECKING:
    from price_fusion.models.checkpoint import Checkpoint

pytest.importorskip("onnxscript")
from price_fusion.prediction.export import export, formats
from price_fusion.prediction.export.export import export_checkpoint, save_export
from price_fusion.prediction.export.graph import PriceGraph

ROWS = 300
IDS = np.arange(ROWS)


@pytest.fixture(scope="module")
def tables(make_table: Callable[..., EmbeddingTable]) -> dict[str, EmbeddingTable]:
    generator = np.random.default_rng(2)
    words = generator.normal(size=(ROWS, 9)).astype(np.float32)
    words[:, 6:] = generator.integers(0, 5_000, size=(ROWS, 3))
    picture = generator.normal(size=(ROWS, 5)).astype(np.float32) * 30
    return {
        "picture": make_table(IDS[IDS % 7 > 0], picture[IDS % 7 > 0], source="picture"),
        "words": make_table(IDS[IDS % 5 > 0], words[IDS % 5 > 0], structural_columns=3),
    }


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return pd.DataFrame({"sample_id": IDS})


@pytest.mark.parametrize("model", ["concat", "mixture"])
def test_both_formats_agree_with_the_checkpoint(
    model: str,
    make_checkpoint: Callable[..., Checkpoint],
    samples: pd.DataFrame,
    tables: dict[str, EmbeddingTable],
    tmp_path: Path,
) -> None:
    exported = export_checkpoint(make_checkpoint(model), samples, tables)
    found = exported.manifest["largest_relative_difference"]
    assert set(found) == {f"{name}, batch {size}" for name in ("model.onnx", "model.pt2") for size in (1, 256)}
    assert max(found.values()) < 1e-4
    save_export(tmp_path / "export", exported)
    described = ExportDataset(filepath=str(tmp_path / "export")).load()
    assert [one["name"] for one in described["inputs"]] == ["picture", "picture_present", "words", "words_present"]
    assert (tmp_path / "export/model.onnx").stat().st_size > 1_000


def test_a_price_that_differs_stops_the_export(
    make_checkpoint: Callable[..., Checkpoint],
    samples: pd.DataFrame,
    tables: dict[str, EmbeddingTable],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "onnx_bytes", lambda graph: b"")
    monkeypatch.setattr(export, "program_bytes", lambda graph: b"")
    off = lambda inputs: np.full(len(inputs[0]), 3.0, np.float32)  # noqa: E731
    monkeypatch.setattr(export, "run_onnx", lambda contents, names: off)
    monkeypatch.setattr(export, "run_program", lambda contents: off)
    with pytest.raises(CheckpointError, match=r"product 0 costs 3, expected .* Nothing was written"):
        export_checkpoint(make_checkpoint(), samples, tables)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(MissingPackageError, match=r"onnxruntime not installed.*\[onnx\]"):
        formats.require_onnx()


def test_what_no_source_knows_costs_the_median_price(make_checkpoint: Callable[..., Checkpoint]) -> None:
    import torch

    checkpoint = make_checkpoint()
    absent = torch.zeros(2, dtype=torch.bool)
    prices = PriceGraph(checkpoint)(torch.zeros(2, 5), absent, torch.zeros(2, 9), absent)
    assert prices.tolist() == [14.25, 14.25]


def test_a_damaged_description_is_named(tmp_path: Path) -> None:
    folder = ExportDataset(filepath=str(tmp_path))
    with pytest.raises(DatasetFileError, match="no exported model here"):
        folder.load()
    (tmp_path / "export.json").write_text(json.dumps({"variant": "moe"}))
    with pytest.raises(DatasetFileError, match="damaged"):
        folder.load()
    assert not folder.exists()
