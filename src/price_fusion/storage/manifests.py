"""Manifests: one JSON document in a folder says what it holds, with the digest of each file and of its own contents.

Tables, folds, ensembles, estimators and exports have one each, written last; the header of a checkpoint has the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from price_fusion.errors import PriceFusionError, StorageError
from price_fusion.storage.digests import first_problem
from price_fusion.storage.obstacles import unreadable_by_us
from price_fusion.storage.sealed import json_object, sealed, unsealed
from price_fusion.version import __version__

T = TypeVar("T")
VERSION = "format_version"
"""The field with the version of the format; ``package_version``, where there is one, says who wrote it."""


@dataclass(frozen=True)
class ManifestKind:
    """How one kind of manifest is written, read and spoken of.

    Attributes:
        of: what it describes, with ``a`` or ``an`` left out.
        name: of its file.
        version: of its format; None for one that has none.
        error: what is raised if it cannot be used.
        make: what to do where there is none.
        repair: what to do where it is damaged or of another format.
        noun: what it is called.
    """

    of: str
    name: str
    version: int | None
    error: type[PriceFusionError]
    make: str
    repair: str
    noun: str = "manifest"

    def text(self, contents: Mapping[str, Any], indent: int | None = 1) -> str:
        """The document as text: its version first, the digest of its contents last.

        Args:
            contents: what JSON can hold.
            indent: spaces a level; None: all in one line.
        """
        version = {} if self.version is None else {VERSION: self.version}
        return sealed({**version, **contents}, indent=indent)

    def document(self, contents: Mapping[str, Any], indent: int | None = 1) -> bytes:
        """The same as the contents of a file."""
        return f"{self.text(contents, indent)}\n".encode()

    def read(self, folder: Path, build: Callable[[dict[str, Any]], T]) -> T:
        """What the manifest of a folder says.

        Args:
            folder: that should have one.
            build: makes something of its fields, ``format_version`` left out; may raise ``ValueError``, ``TypeError`` and
                ``KeyError`` for fields that are not right.

        Raises:
            PriceFusionError: of the class ``error``, if there is none, it is damaged, or of another format.
            StorageError: if it may not be read.
        """
        path = folder / self.name
        try:
            text = path.read_bytes()
        except FileNotFoundError as error:
            raise self.missing(folder) from error
        except PermissionError as error:
            raise StorageError(f"{path}: {unreadable_by_us(path)}") from error
        except OSError as error:
            raise self._damaged(path, error) from error
        return self.parsed(text, path, build)

    def parsed(self, text: str | bytes, place: object, build: Callable[[dict[str, Any]], T]) -> T:
        """What a document says.

        Args:
            text: of the document.
            place: where it was found, for messages.
            build: as of ``read``.

        Raises:
            PriceFusionError: of the class ``error``, if it is damaged or of another format.
        """
        try:
            contents = json_object(text)
            self._refuse_other_format(contents, place)
            fields = unsealed(contents)
            fields.pop(VERSION, None)
            return build(fields)
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged(place, error) from error

    def check(self, folder: Path, digests: Mapping[str, str]) -> None:
        """Compare files with their digests.

        Args:
            folder: of the files.
            digests: hexadecimal sha256 by path within the folder.

        Raises:
            PriceFusionError: of the class ``error``, naming a file that is missing or damaged.
        """
        if problem := first_problem(folder, digests):
            raise self.error(f"{problem[0]}: {problem[1]}, going by {self.name}. {self.repair}")

    def missing(self, folder: object) -> PriceFusionError:
        """The error for a folder without a manifest."""
        return self.error(f"{folder}: no {self.of} here (no {self.name}). {self.make}")

    def _refuse_other_format(self, contents: Mapping[str, Any], place: object) -> None:
        version = contents.get(VERSION)
        if self.version is None or version == self.version:
            return
        writer = contents.get("package_version")
        found, otherwise = f"{self.of} of format {version!r}", ""
        if writer is not None:
            found += f", written by price-fusion {writer!r}; this is {__version__}, which"
            otherwise = " Or use that version."
        else:
            found += "; this program"
        raise self.error(f"{place}: {found} reads format {self.version}. {self.repair}{otherwise}")

    def _damaged(self, place: object, error: Exception) -> PriceFusionError:
        return self.error(f"{place}: damaged {self.noun} ({error}). {self.repair}")
