"""Embedding tables in the catalog: checked when they are loaded, as often as ``check`` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kedro.io import DatasetError

from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import draft_table
from price_fusion.datasets.embedding_table import EmbeddingTableDataset
from price_fusion.errors import ParameterError, PriceFusionError
from price_fusion.parameters import SourceParameters
from price_fusion.storage import digests
from price_fusion.storage.digests import FileVersion

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)


def saved(folder: Path, **options: Any) -> EmbeddingTableDataset:
    dataset = EmbeddingTableDataset(filepath=str(folder), source="words", **options)
    raw = RawEmbeddings.from_arrays(np.arange(4), VECTORS, "words.npy")
    assert not dataset.exists()
    dataset.save(draft_table(raw, SourceParameters(width=3, group="text")))
    assert dataset.exists()
    return dataset


@pytest.mark.parametrize("check", ["always", "once"])
def test_what_was_saved_is_loaded_or_refused(tmp_path: Path, check: str) -> None:
    dataset = saved(tmp_path / "words", check=check)
    np.testing.assert_array_equal(dataset.load().vectors[0], VECTORS)
    path = tmp_path / "words/vectors-00000.npy"
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    with pytest.raises(PriceFusionError, match=r"damaged.*Run the pipeline 'ingest' again") as caught:
        dataset.load()
    assert isinstance(caught.value, DatasetError)  # Kedro passes it on as it is
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("check", "noticed"), [("always", True), ("once", False)])
def test_once_trusts_a_version_that_was_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: str, noticed: bool
) -> None:
    monkeypatch.setattr(digests, "SETTLED_NS", -(10**10))  # all was written long ago
    dataset = saved(tmp_path / "words", check=check)
    path = tmp_path / "words/vectors-00000.npy"
    dataset.load()
    then = FileVersion.of(path)
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    monkeypatch.setattr(
        FileVersion, "of", lambda _: then
    )  # as bits decay on a disk: the file system knows of no change
    monkeypatch.setattr(digests, "_known", {})  # as in another process
    if noticed:
        with pytest.raises(PriceFusionError, match="damaged"):
            dataset.load()
    else:
        dataset.load()


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'words': check is 'never', expected one of always, once.*check_tables"):
        EmbeddingTableDataset(filepath=str(tmp_path), source="words", check="never")  # type: ignore[arg-type]


def test_says_where_it_is_and_how_it_is_checked(tmp_path: Path) -> None:
    described = repr(EmbeddingTableDataset(filepath=str(tmp_path), source="words"))
    assert str(tmp_path) in described
    assert "always" in described
