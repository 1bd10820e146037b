"""Files and folders that are either whole or absent, and whose damage is noticed.

Everything is written under a temporary name beside its place (``.<name>.<process id>.partial``), flushed to disk, and then
renamed. A process that dies leaves at most such a temporary, which ``remove_leftovers`` takes away at the next start.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from price_fusion.errors import PriceFusionError, StorageError
from price_fusion.storage.disks import sync
from price_fusion.storage.obstacles import obstacle

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)\.(?P<kind>partial|replaced)")
_ADVICE = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space, or ask for a larger quota",
    errno.EFBIG: "Raise the limit of a file's size (ulimit -f)",
    errno.EROFS: "Make the disk writable, or name another folder in conf/<environment>/globals.yml",
    errno.ENOENT: "Leave the folder where it is while a run writes into it",
}


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on a clean exit it is flushed to disk and takes the name ``path``.

    Until then ``path`` keeps what it held before, whenever the process dies. A link stays one: the file that it names is
    replaced.

    Raises:
        StorageError: if it cannot be written: no space, no permission, the folder is gone.
    """
    path = path.resolve() if path.is_symlink() else path
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
    finally:
        _discard(temporary)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside ``path``; on a clean exit it takes the name ``path``, and what was there goes.

    Files in it are flushed first. There is a moment in which the old folder has its temporary name and the new one does
    not yet have its own: ``remove_leftovers`` then gives the old one its name back.

    Raises:
        StorageError: if it cannot be written: no space, no permission, the folder is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    replaced = path.with_name(f".{path.name}.{os.getpid()}.replaced")
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _discard(temporary)
            temporary.mkdir()
            yield temporary
            for entry in [*temporary.rglob("*"), temporary]:
                sync(entry)
            if path.exists():
                path.replace(replaced)
            temporary.replace(path)
            sync(path.parent)
            _discard(replaced)
    finally:
        _discard(temporary)


def write_whole(path: Path, contents: bytes) -> None:
    """Replace a file's contents, whole or not at all.

    Raises:
        StorageError: as ``whole_file``.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(contents)


def remove_leftovers(root: Path) -> list[Path]:
    """Remove what dead processes were writing below a folder; nobody else may be writing there now.

    Folders behind links are searched, too. A folder whose replacement did not get its name gets its own back.

    Returns:
        the temporaries that were found.
    """
    found = []
    for path in sorted(_leftovers_below(root), key=lambda path: (path.suffix, path)):
        match = _LEFTOVER.fullmatch(path.name)
        if match is None or not path.exists():
            continue
        found.append(path)
        original = path.with_name(match["name"])
        if match["kind"] == "replaced" and not original.exists():
            path.replace(original)
        else:
            _discard(path)
    return found


def remove_partials_of_the_dead(folder: Path) -> None:
    """Remove what dead processes were writing in a folder, not below it; others may be writing there now."""
    for path in folder.glob(".*.partial"):
        match = _LEFTOVER.fullmatch(path.name)
        if match is not None and not is_alive(int(match["process"])):
            _discard(path)


def is_alive(process: int) -> bool:
    """Whether a process of this machine has that id."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _leftovers_below(root: Path) -> Iterator[Path]:
    """Each folder once, whatever links lead to it."""
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(folder, name) for name in (*folders, *files) if _LEFTOVER.fullmatch(name))


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors on writing ``path`` into one that says what to do.

    Raises:
        StorageError: naming the path, the reason, the space left and the way on.
    """
    try:
        yield
    except PriceFusionError:
        raise
    except OSError as error:
        found, advice = obstacle(path, error) or (_space_left(path), _ADVICE.get(error.errno or 0, "See to it"))
        raise StorageError(
            f"{path}: could not be written ({error.strerror or error}; {found}). What was there before is as it was. "
            f"{advice}, and give the same command again."
        ) from error


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _space_left(path: Path) -> str:
    for folder in path.parents:
        if folder.exists():
            return f"{shutil.disk_usage(folder).free / 1e9:.2f} GB free on its disk"
    return "its disk is gone"


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return  # a temporary on a disk that went away or may no longer be written; the error that matters is on its way
