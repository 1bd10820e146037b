"""Disks that can neither flush folders nor lock files get one warning, and the run goes on."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from price_fusion.errors import StorageError
from price_fusion.storage import disks
from price_fusion.storage.disks import can_lock, sync
from price_fusion.storage.files import write_whole
from price_fusion.storage.lock import only_writer


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "_warned", set())


def refusing(number: int) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_flushing_what_is_not_there_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "nothing")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_disk_that_cannot_flush_folders_is_named_once(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fsync = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            refusing(number)()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    for contents in (b"old", b"new"):
        write_whole(tmp_path / "a" / "b.bin", contents)
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"new"
    (message,) = caplog.messages
    assert message.startswith(
        f"{tmp_path / 'a'}: its disk cannot flush folders ({os.strerror(number)}): after a power cut"
    )


def test_a_disk_that_fails_to_flush_is_no_disk_that_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    with pytest.raises(StorageError, match="Input/output error"):
        write_whole(tmp_path / "b.bin", b"new")
    assert not (tmp_path / "b.bin").exists()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS])
def test_a_disk_that_cannot_lock_is_named_once_and_written(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fcntl.flock", refusing(number))
    for _ in range(2):
        with only_writer(tmp_path / "data"):
            write_whole(tmp_path / "data" / "a.bin", b"new")
    (message,) = caplog.messages
    assert f"its disk cannot lock files ({os.strerror(number)}): two runs at once" in message


def test_another_holder_is_no_inability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", refusing(errno.EWOULDBLOCK))
    assert can_lock(tmp_path / "lock")
