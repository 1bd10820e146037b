"""What is in the way of a file, whose it is, and what to change."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

import pytest

from price_fusion.data.readers.file_kinds import unreadable
from price_fusion.datasets.errors import DatasetFileError, kedro_errors
from price_fusion.errors import CheckpointError, StorageError
from price_fusion.models import checkpoint
from price_fusion.storage import digests
from price_fusion.storage.files import storage_errors, whole_file, write_whole
from price_fusion.storage.obstacles import described, obstacle, unreadable_by_us

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


@pytest.fixture
def as_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system grants what the modes grant to others than owner and group, even to root."""
    lstat = Path.lstat

    def may_pass(path: Path) -> bool:
        return all(one.stat().st_mode & os.X_OK for one in path.parents if one.name.startswith("of "))

    def access(path: Path, mode: int) -> bool:
        ours = "of " in str(path)  # the folders of pytest itself are closed to others
        return not ours or (may_pass(path) and os.path.lexists(path) and path.stat().st_mode & mode == mode)

    def refusing(path: Path) -> os.stat_result:
        if not may_pass(path):
            raise forbidden(path)
        return lstat(path)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(Path, "lstat", refusing)


def shared(tmp_path: Path, folder_mode: int, file_mode: int) -> tuple[Path, Path]:
    """A folder of these rights and a file in it."""
    folder = tmp_path / "of bob"
    folder.mkdir()
    path = folder / "vectors.npy"
    path.touch()
    path.chmod(file_mode)
    folder.chmod(folder_mode)
    return folder, path


@pytest.mark.usefixtures("as_stranger")
def test_a_folder_that_may_be_passed_is_not_in_the_way(tmp_path: Path) -> None:
    """Home folders are often 0711: who knows a name may open what it stands for."""
    _, path = shared(tmp_path, 0o711, 0o600)
    found = unreadable_by_us(path)
    assert f"the file {path} belongs to {ME} (-rw-------)" in found
    assert f"let others read it (chmod g+r '{path}')" in found


@pytest.mark.usefixtures("as_stranger")
def test_a_folder_that_may_not_be_passed_is_opened_alone(tmp_path: Path) -> None:
    """A folder with r and without x shows names, and nothing of what they stand for."""
    folder, path = shared(tmp_path, 0o744, 0o644)
    found = unreadable_by_us(path)
    assert f"the folder {folder} belongs to {ME} (drwxr--r--)" in found
    assert f"let others pass through it (chmod g+x '{folder}')" in found
    assert described(path) == f"{path} (its owner is not known: Permission denied)"
    assert "a link" not in found
    link = tmp_path / "a link"
    link.symlink_to(path)
    assert unreadable_by_us(link) == found


@pytest.mark.usefixtures("as_stranger")
def test_a_folder_to_be_read_is_opened_with_its_contents(tmp_path: Path) -> None:
    folder, _ = shared(tmp_path, 0o711, 0o644)
    assert f"the folder {folder} belongs to {ME} (drwx--x--x)" in unreadable_by_us(folder)
    assert f"(chmod -R g+rX '{folder}')" in unreadable_by_us(folder)


@pytest.mark.usefixtures("as_stranger")
def test_a_folder_on_the_way_to_what_is_written_is_opened_for_passing_only(tmp_path: Path) -> None:
    folder, path = shared(tmp_path, 0o700, 0o666)
    found, advice = obstacle(path, forbidden(path)) or ("", "")
    assert f"the folder {folder} belongs" in found
    assert advice == f"Have {ME} let others pass through it (chmod g+x '{folder}')"


@pytest.mark.usefixtures("as_stranger")
def test_what_may_be_read_was_to_be_written(tmp_path: Path) -> None:
    folder, path = shared(tmp_path, 0o755, 0o644)
    for name, named in ((path, path), (folder / "new.npy", folder)):
        with pytest.raises(DatasetFileError) as raised, kedro_errors():
            raise forbidden(name)
        assert str(raised.value).startswith(f"{name}: may not be written: the {'file' if named == path else 'folder'} ")
        assert f"chmod g+w '{named}'" in str(raised.value)


@pytest.mark.parametrize("named", [None, 7])
def test_errors_that_name_no_path_are_left_to_kedro(named: object) -> None:
    """Of an open file the operating system knows the number only."""
    error = PermissionError(errno.EACCES, "Permission denied", named)
    with pytest.raises(PermissionError) as raised, kedro_errors():
        raise error
    assert raised.value is error


@pytest.mark.usefixtures("as_stranger")
def test_a_digest_of_what_may_not_be_reached_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, path = shared(tmp_path, 0o744, 0o644)

    def refuse(path: Path) -> str:
        raise forbidden(path)

    monkeypatch.setattr(digests, "digest_of", refuse)
    found = digests.problem_with(path, "0" * 64)
    assert found == f"cannot be read (Permission denied; the folder {folder} belongs to {ME} (drwxr--r--))"


@pytest.mark.usefixtures("as_stranger")
def test_a_checkpoint_that_may_not_be_reached_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, path = shared(tmp_path, 0o744, 0o644)
    stat = Path.stat

    def refusing(one: Path, **how: bool) -> os.stat_result:
        if one == path:
            raise forbidden(path)
        return stat(one, **how)

    def not_found(*_: object, **__: object) -> None:
        raise FileNotFoundError(f"No such file or directory: {path}")

    monkeypatch.setattr(checkpoint, "safe_open", not_found)
    monkeypatch.setattr(Path, "stat", refusing)
    with pytest.raises(CheckpointError, match=f"may not be read: the folder {folder} belongs"):
        checkpoint.load_checkpoint(path)
