"""What is in the way of a file, whose it is, and what to change."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

import pytest

from price_fusion.datasets.errors import DatasetFileError, kedro_errors
from price_fusion.errors import StorageError
from price_fusion.fusion.files import storage_errors, whole_file, write_whole
from price_fusion.fusion.obstacles import obstacle, unreadable_by_us
from price_fusion.fusion.tables.file_kinds import unreadable

ME = pwd.getpwuid(os.geteuid()).pw_name


def forbidden(path: Path, number: int = errno.EACCES) -> PermissionError:
    return PermissionError(number, os.strerror(number), str(path))


def test_the_file_that_is_refused_is_named_with_its_owner(tmp_path: Path) -> None:
    lock = tmp_path / "data" / ".run.lock"
    lock.parent.mkdir()
    lock.touch(mode=0o640)
    with pytest.raises(StorageError) as raised, storage_errors(lock.parent):
        raise forbidden(lock)
    assert f"the file {lock} belongs to {ME} (-rw-r-----), and this run is of {ME}" in str(raised.value)
    assert f"Have {ME} let others write there (chmod g+w '{lock}'; umask 002" in str(raised.value)


def test_of_what_is_not_there_yet_the_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found, advice = obstacle(tmp_path / "a/b.txt", forbidden(tmp_path / "a/.b.txt.41.partial")) or ("", "")
    assert f"the folder {tmp_path} belongs to {ME} (drwxr-xr-x)" in found
    assert f"chmod g+w '{tmp_path}'" in advice


def test_of_two_paths_the_one_to_be_replaced_is_named(tmp_path: Path) -> None:
    """In a folder with the sticky bit, only the owner of a file may replace it."""
    temporary, path = tmp_path / ".b.41.partial", tmp_path / "b"
    temporary.touch()
    path.touch()
    error = PermissionError(errno.EPERM, "Operation not permitted", str(temporary), None, str(path))
    assert f"the file {path} belongs" in (obstacle(path, error) or ("", ""))[0]


def test_an_owner_without_a_name_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 2**31 - 7)
    assert f"this run is of user {2**31 - 7}" in (obstacle(tmp_path, forbidden(tmp_path)) or ("", ""))[0]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("x")
    with pytest.raises(StorageError, match=rf"the file {tmp_path}/models belongs to .*, expected a folder.* Move '"):
        write_whole(tmp_path / "models/moe/a.json", b"{}")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with (
        pytest.raises(StorageError, match=rf"the folder {tmp_path}/a.json belongs to .*, expected a file"),
        whole_file(tmp_path / "a.json") as temporary,
    ):
        temporary.touch()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o555)
    with pytest.raises(StorageError, match=rf"the folder {folder} belongs to"):
        write_whole(folder / "a/b.json", b"{}")


def test_other_errors_say_nothing_of_owners(tmp_path: Path) -> None:
    assert obstacle(tmp_path, OSError(errno.ENOSPC, "No space left on device", str(tmp_path))) is None


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vectors.npy"
    path.touch(mode=0o600)
    monkeypatch.setattr(os, "access", lambda one, _: one != path)
    expected = (
        f"{path}: may not be read: the file {path} belongs to {ME} (-rw-------), and this run is of {ME}. Have {ME} let"
    )
    assert str(unreadable(path, "an array", forbidden(path))).startswith(expected)
    with pytest.raises(DatasetFileError) as raised, kedro_errors():
        raise forbidden(path)
    assert str(raised.value).startswith(expected)


def test_of_a_file_in_a_closed_folder_the_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda one, _: tmp_path not in (one, *one.parents))
    assert f"the folder {tmp_path} belongs to" in unreadable_by_us(tmp_path / "a" / "b.npy")
