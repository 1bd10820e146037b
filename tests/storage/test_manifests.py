"""Every kind of manifest is read alike: there is none, it is damaged, of another format, or not to be read."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from price_fusion.errors import DataError, StorageError
from price_fusion.storage.manifests import ManifestKind
from price_fusion.version import __version__

KIND = ManifestKind("shelf", "shelf.json", 2, DataError, "Make one.", "Make it again.")


def refusal(folder: Path, build: Any = dict) -> str:
    with pytest.raises(DataError) as caught:
        KIND.read(folder, build)
    return str(caught.value)


def test_fields_come_back_without_the_version(tmp_path: Path) -> None:
    (tmp_path / "shelf.json").write_text(KIND.text({"b": [1], "a": {"c": None}}))
    assert list(json.loads((tmp_path / "shelf.json").read_text())) == ["format_version", "b", "a", "contents_sha256"]
    assert KIND.read(tmp_path, dict) == {"b": [1], "a": {"c": None}}


def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "shelf.json"
    assert refusal(tmp_path) == f"{tmp_path}: no shelf here (no shelf.json). Make one."
    path.write_text(KIND.text({"a": 1}).replace('"a": 1', '"a": 2'))
    assert refusal(tmp_path).startswith(f"{path}: damaged manifest (sha256 of its contents is ")
    assert refusal(tmp_path).endswith("Make it again.")
    path.write_text(KIND.text({"a": 1}))
    assert refusal(tmp_path, lambda fields: fields["b"]) == f"{path}: damaged manifest ('b'). Make it again."
    path.write_text('{"format_version": 1}')
    assert refusal(tmp_path) == f"{path}: shelf of format 1; this program reads format 2. Make it again."
    path.write_text('{"format_version": 3, "package_version": "9.8"}')
    assert f"of format 3, written by price-fusion '9.8'; this is {__version__}, which reads format 2." in refusal(
        tmp_path
    )
    assert refusal(tmp_path).endswith("Or use that version.")


def test_one_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "shelf.json").write_text(KIND.text({}))
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StorageError, match=r"shelf\.json"):
        KIND.read(tmp_path, dict)


def test_files_are_compared_with_their_digests(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.bin: missing, going by shelf\.json\. Make it again\."):
        KIND.check(tmp_path, {"a.bin": "0f"})
