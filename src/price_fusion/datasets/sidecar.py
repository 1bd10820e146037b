"""The hidden file beside a saved file: its digest, and what it was made from, as ``sha256sum`` writes and reads it.

``.metrics.json.sha256`` belongs to ``metrics.json``. Its first line is of that file; each further line is of a file that it
was made from, by its path from there; a comment at the end holds the parameters and raw files that led to it
(``made_from.py``).
``sha256sum -c .metrics.json.sha256``, given in that folder, checks all files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from pathlib import Path

from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.made_from import Facts, as_text, from_text
from price_fusion.storage.digests import digest_of
from price_fusion.storage.disks import sync
from price_fusion.storage.files import write_whole

_LINE = re.compile(r"\\?(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)")
_MADE_FROM = "# made from: "
"""sha256sum passes over comments."""


class Fate(Enum):
    """What has become of a file that another was made from."""

    SAME = auto()
    REPLACED = auto()
    GONE = auto()
    """Or damaged, which counts as missing as well: it may be made again as it was."""


class Sidecar:
    """Says whether a file is what was saved, and whether the files that it was made from are still those.

    Args:
        file: the file that it belongs to.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.path = file.with_name(f".{file.name}.sha256")

    @property
    def digest(self) -> str | None:
        """What the file should have, in hexadecimal; None where there is no sidecar, or one of another form."""
        match = _LINE.fullmatch(next(iter(self._lines()), ""))
        return match["digest"] if match else None

    def remove(self) -> None:
        """Let the file count as missing, even after a power cut."""
        if self.path.exists():
            self.path.unlink()
            sync(self.path.parent)

    def write(self, digest: str, made_from: Iterable[Path] = (), facts: Facts | None = None) -> None:
        """Vouch for the file.

        Args:
            digest: its sha256, in hexadecimal.
            made_from: the files that it was made from; those that are gone are left out.
            facts: the parameters and raw files that led to it; None: not known.

        Raises:
            StorageError: if it cannot be written.
        """
        folder = self._file.parent.resolve()
        lines = [
            _line(digest_of(path), os.path.relpath(path.resolve(), folder)) for path in made_from if path.is_file()
        ]
        self.rewrite(digest, lines if facts is None else [*lines, _MADE_FROM + as_text(facts)])

    def rewrite(self, digest: str, lines_of_origins: Sequence[str]) -> None:
        """Vouch for another file that was made from the same.

        Args:
            digest: its sha256, in hexadecimal.
            lines_of_origins: as the method of that name gives them.

        Raises:
            StorageError: if it cannot be written.
        """
        lines = [_line(digest, self._file.name), *lines_of_origins]
        write_whole(self.path, os.fsencode("".join(f"{line}\n" for line in lines)))

    def lines_of_origins(self) -> list[str]:
        """What it says of all that the file was made from, for ``rewrite``."""
        return self._lines()[1:]

    def origins(self) -> dict[Path, str]:
        """Digests of the files that the file was made from, by their paths."""
        found = (_LINE.fullmatch(line) for line in self.lines_of_origins())
        folder = self._file.parent.resolve()
        return {Path(os.path.normpath(folder / _name(match))): match["digest"] for match in found if match}

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
        """Whether file and sidecar are there, and no file that it was made from has been replaced by another."""
        if self.digest is None or not self._file.is_file():
            return False
        return all(fate(*origin) is not Fate.REPLACED for origin in self.origins().items())

    def made_from(self) -> Facts | None:
        """The parameters and raw files that led to the file; None where that is not known, or there is another file."""
        if self.digest is None or not self._file.is_file() or digest_of(self._file) != self.digest:
            return None
        comments = [line.removeprefix(_MADE_FROM) for line in self._lines() if line.startswith(_MADE_FROM)]
        return from_text(comments[-1]) if comments else None

    def _lines(self) -> list[str]:
        """Without their ends; none if there is no sidecar."""
        try:
            return os.fsdecode(self.path.read_bytes()).removesuffix("\n").split("\n")
        except FileNotFoundError:
            return []


def fate(path: Path, digest: str) -> Fate:
    """What has become of a file.

    Args:
        path: the file.
        digest: its sha256 when another was made from it.
    """
    if not path.is_file():
        return Fate.GONE
    if digest_of(path) == digest:
        return Fate.SAME
    return Fate.GONE if Sidecar(path).digest == digest else Fate.REPLACED


def _line(digest: str, name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}"


def _name(match: re.Match[str]) -> str:
    """The path that a line names: sha256sum marks lines with escapes by a backslash at their beginning."""
    if not match[0].startswith("\\"):
        return match["name"]
    return re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], match["name"])
