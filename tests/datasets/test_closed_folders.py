"""Whether an output or a raw file exists cannot be told where a folder is closed: the folder is named, with what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.io.core import AbstractDataset

from price_fusion.console.errors import own_error
from price_fusion.datasets.checkpoint import CheckpointDataset
from price_fusion.datasets.embedding_files import EmbeddingFilesDataset
from price_fusion.datasets.embedding_table import EmbeddingTableDataset
from price_fusion.datasets.export_folder import ExportDataset
from price_fusion.datasets.fabricated_sample import FabricatedSampleDataset
from price_fusion.datasets.fold_models import FoldModelsDataset
from price_fusion.datasets.id_list import IdListDataset
from price_fusion.datasets.product_table import ProductTableDataset
from price_fusion.datasets.whole_file import WholeFileDataset


def whole_json(filepath: str) -> WholeFileDataset:
    return WholeFileDataset(dataset={"type": "json.JSONDataset", "filepath": filepath})


KINDS: list[tuple[Callable[..., AbstractDataset[Any, Any]], dict[str, Any]]] = [
    (CheckpointDataset, {}),
    (EmbeddingFilesDataset, {"file_format": "npy"}),
    (EmbeddingTableDataset, {"source": "clip"}),
    (ExportDataset, {}),
    (FabricatedSampleDataset, {}),
    (FoldModelsDataset, {"model": "moe"}),
    (IdListDataset, {}),
    (ProductTableDataset, {"labelled": True}),
    (whole_json, {}),
]


@pytest.mark.parametrize(("kind", "arguments"), KINDS, ids=lambda one: getattr(one, "__name__", ""))
def test_the_folder_is_named(
    kind: Callable[..., AbstractDataset[Any, Any]],
    arguments: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = tmp_path / "closed"
    stat, access = Path.stat, os.access

    def refusing(path: Path, **options: Any) -> os.stat_result:
        if closed in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, **options)

    closed.mkdir()
    dataset = kind(filepath=str(closed / "a"), **arguments)
    monkeypatch.setattr(Path, "stat", refusing)  # tests may run as root, whom no folder is closed to
    monkeypatch.setattr(Path, "read_bytes", refusing)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed and access(path, mode))
    with pytest.raises(Exception, match="closed") as raised:
        dataset.exists()
    error = own_error(raised.value)
    assert error is not None, raised.value
    assert f"let others pass through it (chmod g+x '{closed}')" in str(error)
