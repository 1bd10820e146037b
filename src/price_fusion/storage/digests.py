"""Digests of files, each computed once per version of a file: by this process, or, where a record is kept, by any.

A version of a file is its size, its times of change and its inode. The time at which its contents changed may be set back, by
``cp -p`` or an archive that is unpacked; that of any change may not. Files that changed moments ago are hashed each time, as the
clock of a file system is too coarse to tell two changes within one tick from each other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from price_fusion.compute.progress import tracked
from price_fusion.storage.files import sha256, write_whole
from price_fusion.storage.obstacles import closed_to_us, described
from price_fusion.storage.sealed import json_object, sealed, unsealed

SETTLED_NS = 2_000_000_000
"""Nanoseconds after which a change of a file has a time of its own on every file system."""
RECORD = "checked.json"
RECORD_VERSION = 1
SHOWN = 12
"""Hexadecimal digits of a digest that a message shows."""


@dataclass(frozen=True)
class FileVersion:
    """What differs between a file and the one that takes its place."""

    size: int
    """Bytes."""
    mtime_ns: int
    """When its contents changed, or as whoever copied it says."""
    ctime_ns: int
    """When anything of it changed; only the system sets it."""
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileVersion:
        """The version that is there now.

        Raises:
            OSError: if there is none.
        """
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def is_at(self, path: Path) -> bool:
        """Whether the file there is of this version."""
        try:
            return FileVersion.of(path) == self
        except OSError:
            return False

    @property
    def is_settled(self) -> bool:
        """Whether a change from now on would give it another time."""
        return time.time_ns() - max(self.mtime_ns, self.ctime_ns) > SETTLED_NS


_known: dict[Path, tuple[FileVersion, str]] = {}


def digest_of(path: Path) -> str:
    """Hexadecimal sha256 of a file; this process reads each version of it once.

    Raises:
        OSError: if it cannot be read.
    """
    place = path.absolute()
    before = FileVersion.of(path)
    known = _known.get(place)
    if known is not None and known[0] == before:
        return known[1]
    settled = before.is_settled
    digest = sha256(path)
    if settled and before.is_at(path):
        _known[place] = (before, digest)
    return digest


def digests_below(path: Path, root: Path) -> dict[str, str]:
    """Digests of a file, or of all files of a folder, by their paths within ``root``."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return {one.relative_to(root).as_posix(): digest_of(one) for one in files}


def problem_with(path: Path, expected: str) -> str | None:
    """What is wrong with a file that should have a digest; None: nothing."""
    try:
        found = digest_of(path)
    except FileNotFoundError:
        return "missing"
    except PermissionError as error:
        return f"cannot be read ({error.strerror}; {described(closed_to_us(path) or path)})"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if found != expected:
        return f"damaged or exchanged: its sha256 is {found[:SHOWN]}, expected {expected[:SHOWN]}"
    return None


def first_problem(folder: Path, expected: Mapping[str, str]) -> tuple[Path, str] | None:
    """The first file of a folder that is not as it should be, and what is wrong with it; None: all are as they should.

    Args:
        folder: of the files.
        expected: their digests, by their paths within it.
    """
    for name, digest in tracked(list(expected.items()), f"checking {folder}", "files"):
        if problem := problem_with(folder / name, digest):
            return folder / name, problem
    return None


class CheckRecord:
    """A small file beside others that says which versions of them have been hashed already, and what came of it.

    It is a note and no promise: what it does not know, or says in a damaged way, is hashed again.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / RECORD
        self._entries = self._read()

    def unchecked(self, expected: Mapping[str, str]) -> dict[str, str]:
        """Those of some files, by name, whose version now is not known to have the digest that is expected."""
        return {
            name: digest
            for name, digest in expected.items()
            if name not in self._entries or self._entries[name] != self._entry(name, digest)
        }

    def digests_of(self, paths: Iterable[Path]) -> dict[Path, str]:
        """sha256 of files, several read at a time: those whose version is another than the one that is remembered.

        From then on this process knows them, too: ``digest_of`` reads none of them again.

        Raises:
            OSError: if one cannot be read.
            StorageError: if the record cannot be written.
        """
        names = {path: os.path.relpath(path.resolve(), self._folder.resolve()) for path in paths}
        new = [path for path, name in names.items() if not self._recall(path, name)]
        with ThreadPoolExecutor() as threads:
            hashed = tracked(threads.map(digest_of, new), "hashing raw files", "files", total=len(new))
            found = dict(zip(new, hashed, strict=True))
        if found:
            self.note({names[path]: digest for path, digest in found.items()})
        return {path: found[path] if path in found else digest_of(path) for path in names}

    def note(self, checked: Mapping[str, str]) -> None:
        """Remember the digests of files, by name, in their current versions; changes of moments ago are left out.

        Raises:
            StorageError: if the record cannot be written.
        """
        for name, digest in checked.items():
            if FileVersion.of(self._folder / name).is_settled:
                self._entries[name] = self._entry(name, digest)
        contents = {"format_version": RECORD_VERSION, "files": self._entries}
        write_whole(self._path, (sealed(contents, indent=1) + "\n").encode())

    def _recall(self, path: Path, name: str) -> bool:
        """Have this process know the digest of a file, if that of its version is remembered."""
        known = self._entries.get(name)
        if known is None:
            return False
        version = FileVersion.of(path)
        if known != {**asdict(version), "sha256": known.get("sha256")}:
            return False
        _known[path.absolute()] = (version, known["sha256"])
        return True

    def _entry(self, name: str, digest: str) -> dict[str, Any] | None:
        try:
            return {**asdict(FileVersion.of(self._folder / name)), "sha256": digest}
        except OSError:
            return None

    def _read(self) -> dict[str, Any]:
        try:
            contents = unsealed(json_object(self._path.read_bytes()))
        except (OSError, ValueError):
            return {}
        return dict(contents["files"]) if contents.get("format_version") == RECORD_VERSION else {}
