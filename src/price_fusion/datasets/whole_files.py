"""Kedro's datasets of single files, made whole: a saved file is there with all its bytes and its digest, or counts as missing.

Kedro's own write in place, so that a process that dies while it saves leaves half a file, which
``kedro run --only-missing-outputs`` takes for a finished one. Here the steps of saving are: all bytes under a temporary
name, flushed to disk; the digest of the earlier file goes; the file takes its name; its digest is written (``sidecar.py``).
A process may die between any two of them: a file without its digest counts as missing and is made again.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import pandas as pd
from kedro.io.core import get_protocol_and_path
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import CSVDataset, ParquetDataset
from kedro_datasets.text import TextDataset
from kedro_datasets.yaml import YAMLDataset

from price_fusion.data.ids import id_column
from price_fusion.datasets.errors import DatasetFileError, is_whole, kedro_errors
from price_fusion.datasets.formulas import IDS, quoting_of, without_formulas
from price_fusion.datasets.made_from import Facts
from price_fusion.datasets.recorded import RecordedOutput
from price_fusion.datasets.sidecar import Sidecar
from price_fusion.storage.disks import sync
from price_fusion.storage.files import sha256, whole_file

_UNSUPPORTED = ("version", "credentials", "fs_args")


class WholeFile(RecordedOutput):
    """Makes a Kedro dataset of one local file save it whole; stands before that dataset among the bases of a class.

    Loading checks the digest. A file without one, such as a user's own, is loaded as it is.

    The file exists, to ``--only-missing-outputs``, if its digest does and its origins are those that it was made from: an
    evaluation of a checkpoint that has since been replaced or removed is no evaluation of the one that is there. Nothing is
    deleted for that; it is made again.

    Args:
        filepath: the file, on a local disk.
        made_from: ``{filepath: ...}`` of the file that it is made from, or several of these by any name; with
            ``if_there: true`` of one that need not be there.
        arguments: as of the Kedro dataset, except ``versioned``, ``credentials`` and ``fs_args``.

    Raises:
        DatasetFileError: for a remote file, or one of those arguments.
    """

    _filepath: PurePosixPath

    def __init__(self, *, filepath: str, made_from: Mapping[str, Any] | None = None, **arguments: Any) -> None:
        _refuse_what_is_not_whole(filepath, arguments)
        super().__init__(filepath=filepath, **arguments)  # type: ignore[call-arg]
        self._path = Path(self._filepath)
        self._sidecar = Sidecar(self._path, *_origins(made_from or {}))

    def load(self) -> Any:
        """As the Kedro dataset, of a file whose digest is right.

        Raises:
            DatasetFileError: if the file is not there, or was damaged or changed after it was saved.
        """
        if not self._path.is_file():
            raise DatasetFileError(f"{self._path}: is not there. Run the pipeline that makes it again.")
        with kedro_errors():
            self._sidecar.check()
            self._path.open(
                "rb"
            ).close()  # Kedro's wrapper would turn a refusal into an error that no longer says that it is one
        return super().load()  # type: ignore[misc]

    def save(self, data: Any) -> None:
        """Replace the file, whole or not at all.

        Raises:
            DatasetFileError: if it cannot be written; an earlier file is then as it was.
        """
        with kedro_errors():
            digest = self._replace(data)
            self._sidecar.write(digest, self.facts())

    def amend(self, data: Any) -> None:
        """Replace the file by itself with a remark: what it was made from stays what it was.

        Raises:
            DatasetFileError: if it cannot be written; an earlier file is then as it was.
        """
        with kedro_errors():
            origins = self._sidecar.origins()
            digest = self._replace(data)
            self._sidecar.rewrite(digest, origins)

    def _replace(self, data: Any) -> str:
        """Replace the file, and give its digest, which is still to be written."""
        with whole_file(self._path) as temporary:
            self._write(data, temporary)
            sync(temporary)
            digest = sha256(temporary)
            self._sidecar.remove()
        return digest

    @property
    def lacks_its_digest(self) -> bool:
        """Hidden files are left behind by some artifact stores, and by ``cp *``."""
        return self._path.is_file() and not self._sidecar.path.exists()

    def made_from(self) -> Facts | None:
        """As the sidecar says."""
        return self._sidecar.made_from()

    def _write(self, data: Any, path: Path, **changed: Any) -> None:
        """Let the Kedro dataset, with some of its attributes changed, write to another path."""
        elsewhere = self._copy(_filepath=PurePosixPath(path), **changed)  # type: ignore[attr-defined]
        # Kedro's wrapper would turn an error of the disk into one that no longer says that it is one.
        inspect.unwrap(super().save)(elsewhere, data)  # type: ignore[misc]

    @kedro_errors()
    def _exists(self) -> bool:
        return not self.is_stale and self._sidecar.is_current() and is_whole(self._sidecar.check)


class WholeCSVDataset(WholeFile, CSVDataset):  # type: ignore[misc]
    """A table as CSV in UTF-8, safe to open in a spreadsheet: text that begins as a formula does gets an apostrophe.

    Loading gives what the file holds, apostrophes included. ``sample_id`` is never changed.

    Args:
        filepath: the file, on a local disk.
        made_from: as of ``WholeFile``.
        arguments: as of ``kedro_datasets.pandas.CSVDataset``, but for those that ``WholeFile`` refuses.
    """

    DEFAULT_FS_ARGS: ClassVar[dict[str, Any]] = {"open_args_save": {"mode": "w", "encoding": "utf-8"}}
    DEFAULT_LOAD_ARGS: ClassVar[dict[str, Any]] = {"converters": {IDS: "id {}".format}}
    """pandas would read "007" as 7 and, even from a converter, "NA" as a missing value."""

    def load(self) -> pd.DataFrame:
        """As pandas reads it, but for ``sample_id``: whole numbers if all are, else text as it stands."""
        table: pd.DataFrame = super().load()
        return table.assign(**{IDS: id_column(table[IDS].str.removeprefix("id "))}) if IDS in table else table

    def _write(self, data: pd.DataFrame, path: Path, **changed: Any) -> None:
        table = without_formulas(data)
        super()._write(table, path, _save_args={"quoting": quoting_of(table)} | self._save_args, **changed)


class WholeParquetDataset(WholeFile, ParquetDataset):  # type: ignore[misc]
    """A table as parquet; arguments as of ``WholeFile`` and ``kedro_datasets.pandas.ParquetDataset``."""


class WholeJSONDataset(WholeFile, JSONDataset):  # type: ignore[misc]
    """A JSON document; arguments as of ``WholeFile`` and ``kedro_datasets.json.JSONDataset``."""


class WholeYAMLDataset(WholeFile, YAMLDataset):  # type: ignore[misc]
    """A YAML document; arguments as of ``WholeFile`` and ``kedro_datasets.yaml.YAMLDataset``."""


class WholeTextDataset(WholeFile, TextDataset):  # type: ignore[misc]
    """A text in UTF-8, such as a page; arguments as of ``WholeFile`` and ``kedro_datasets.text.TextDataset``."""

    DEFAULT_FS_ARGS: ClassVar[dict[str, Any]] = {
        "open_args_save": {"mode": "w", "encoding": "utf-8"},
        "open_args_load": {"mode": "r", "encoding": "utf-8"},
    }


def _refuse_what_is_not_whole(filepath: str, arguments: Mapping[str, Any]) -> None:
    protocol, _ = get_protocol_and_path(filepath)
    if protocol != "file":
        raise DatasetFileError(
            f"{filepath}: is on {protocol!r}, expected a local path: only there can a file be replaced as a whole. Save it "
            "locally and copy it, or use the class of kedro_datasets."
        )
    for name in _UNSUPPORTED:
        if arguments.get(name) is not None:
            argument = "versioned" if name == "version" else name
            raise DatasetFileError(
                f"{filepath}: has {argument!r} in the catalog, which whole files do not support: they are one local file "
                "each, replaced by the next run. Remove the argument, or use the class of kedro_datasets."
            )


def _origins(made_from: Mapping[str, Any]) -> tuple[list[Path], list[Path]]:
    """Those that must be there, and the others."""
    # Kedro makes values of the key filepath absolute.
    several = [made_from] if "filepath" in made_from else list(made_from.values())
    must, may = (
        [Path(one["filepath"]) for one in several if one.get("if_there", False) is kind] for kind in (False, True)
    )
    return must, may
