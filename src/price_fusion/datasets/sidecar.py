"""The hidden file beside a saved file: its digest, and what it was made from, as ``sha256sum`` writes and reads it.

``.metrics.json.sha256`` belongs to ``metrics.json``. Its first line is of that file; each further line is of an origin, by
its path from there; a comment at the end holds the parameters and raw files that led to it (``made_from.py``).
``sha256sum -c .metrics.json.sha256``, given in that folder, checks all files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.made_from import Facts, as_text, from_text
from price_fusion.storage.digests import digest_of
from price_fusion.storage.disks import sync
from price_fusion.storage.files import write_whole

_LINE = re.compile(r"\\?(?P<digest>[0-9a-f]{64}) [ *].+")
_MADE_FROM = "# made from: "
"""sha256sum passes over comments."""


class Sidecar:
    """Says whether a file is what was saved, and whether its origins are what it was made from.

    Args:
        file: the file that it belongs to.
        made_from: the files that this one was made from.
        if_there: files that it was made from if they were there; a missing one does not make it outdated.
    """

    def __init__(self, file: Path, made_from: Sequence[Path] = (), if_there: Sequence[Path] = ()) -> None:
        self._file = file
        self._made_from = tuple(made_from)
        self._if_there = tuple(if_there)
        self.path = file.with_name(f".{file.name}.sha256")

    def remove(self) -> None:
        """Let the file count as missing, even after a power cut."""
        if self.path.exists():
            self.path.unlink()
            sync(self.path.parent)

    def write(self, digest: str, facts: Facts | None = None) -> None:
        """Vouch for the file.

        Args:
            digest: its sha256, in hexadecimal.
            facts: the parameters and raw files that led to it; None: not known.

        Raises:
            StorageError: if it cannot be written.
        """
        lines = self._lines_of_origins()
        self.rewrite(digest, lines if facts is None else [*lines, _MADE_FROM + as_text(facts)])

    def origins(self) -> list[str]:
        """What it says of origins, line by line, for ``rewrite``."""
        return self._lines()[1:]

    def rewrite(self, digest: str, origins: Sequence[str]) -> None:
        """Vouch for another file that was made from the same.

        Args:
            digest: its sha256, in hexadecimal.
            origins: as ``origins`` gives them.

        Raises:
            StorageError: if it cannot be written.
        """
        lines = [_line(digest, self._file.name), *origins]
        write_whole(self.path, os.fsencode("".join(f"{line}\n" for line in lines)))

    def check(self) -> None:
        """Compare the file with its digest, if it has one: a user's own file has none and is taken as it is.

        Raises:
            DatasetFileError: if they differ, or the sidecar is not of this form.
        """
        lines = self._lines()
        if not lines:
            return
        match = _LINE.fullmatch(lines[0])
        if match is None:
            raise DatasetFileError(
                f"{self.path}: its first line is {lines[0][:80]!r}, expected a sha256 digest and a file's name, as "
                f"sha256sum writes them. Run the pipeline that makes {self._file.name} again; or remove this file, and "
                f"{self._file.name} is taken as it is."
            )
        found = digest_of(self._file)
        if found != match["digest"]:
            raise DatasetFileError(
                f"{self._file}: sha256 is {found[:12]}..., expected {match['digest'][:12]}... ({self.path.name}): it was "
                "damaged or changed after it was saved. Run the pipeline that makes it again; or, if it was changed on "
                f"purpose, remove {self.path}."
            )

    def is_current(self) -> bool:
        """Whether file and sidecar are there, and each origin is still the one that the file was made from."""
        lines = self._lines()
        if not lines or not self._file.is_file() or not all(path.is_file() for path in self._made_from):
            return False
        return _LINE.fullmatch(lines[0]) is not None and set(self._lines_of_origins()) <= set(lines[1:])

    def made_from(self) -> Facts | None:
        """The parameters and raw files that led to the file; None where that is not known, or there is another file."""
        lines = self._lines()
        match = _LINE.fullmatch(lines[0]) if lines else None
        if match is None or not self._file.is_file() or digest_of(self._file) != match["digest"]:
            return None
        comments = [line.removeprefix(_MADE_FROM) for line in lines if line.startswith(_MADE_FROM)]
        return from_text(comments[-1]) if comments else None

    def _lines(self) -> list[str]:
        """Without their ends; none if there is no sidecar."""
        try:
            return os.fsdecode(self.path.read_bytes()).removesuffix("\n").split("\n")
        except FileNotFoundError:
            return []

    def _lines_of_origins(self) -> list[str]:
        folder = self._file.parent.resolve()
        return [
            _line(digest_of(path), os.path.relpath(path.resolve(), folder))
            for path in (*self._made_from, *self._if_there)
            if path.is_file()
        ]


def _line(digest: str, name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}"
