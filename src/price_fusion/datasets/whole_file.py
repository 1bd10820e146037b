"""One wrapper that makes any dataset of a single file whole: the file has all its bytes and its digest, or counts as missing.

Kedro's own datasets write in place, so that a process that dies while it saves leaves half a file, which
``kedro run --only-missing-outputs`` takes for a finished one. Here the steps of saving are: all bytes under a temporary
name, flushed to disk; the digest of the earlier file goes; the file takes its name; its digest is written (``sidecar.py``).
A process may die between any two of them: a file without its digest counts as missing and is made again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset
from kedro.io.core import Version, get_protocol_and_path

from price_fusion.datasets.errors import DatasetFileError, is_whole, kedro_errors
from price_fusion.datasets.recorded import FileRecord
from price_fusion.storage.disks import sync
from price_fusion.storage.files import sha256, whole_file

_UNSUPPORTED = {"version": "versioned", "versioned": "versioned", "credentials": "credentials", "fs_args": "fs_args"}
"""Arguments of Kedro's datasets that are refused, by the names that they have in a catalog."""


class WholeFileDataset(FileRecord, AbstractDataset[Any, Any]):
    """Saves one local file whole, as another dataset writes it; texts are in UTF-8.

    ```yaml
    moe.metrics:
      type: price_fusion.datasets.WholeFileDataset
      dataset:
        type: json.JSONDataset
        filepath: data/08_reporting/moe/metrics.json
    ```

    Loading checks the digest. A file without one, such as a user's own, is loaded as it is.

    The file exists, to ``--only-missing-outputs``, if its digest does and the files that it was made from, as far as they
    are there, are still those: an evaluation of a checkpoint that has since been replaced is no evaluation of the one that
    is there. Nothing is deleted for that; it is made again.

    Args:
        dataset: the entry of the dataset that reads and writes, of any type that has a ``filepath`` and writes one file.
        version: refused, as are ``credentials``: what ``versioned`` and ``credentials`` beside ``dataset`` become.
        credentials: see ``version``.
        metadata: for plugins.

    Raises:
        DatasetFileError: for a remote file, ``versioned``, ``credentials`` or ``fs_args``.
    """

    preview: Callable[..., Any]
    """For Kedro-Viz, where the wrapped dataset has one: its annotation says how it is shown."""

    def __init__(
        self,
        *,
        dataset: Mapping[str, Any],
        version: Version | None = None,
        credentials: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        _refuse_what_is_not_whole({"version": version, "credentials": credentials} | dict(dataset))
        self._dataset = AbstractDataset.from_config("dataset", dict(dataset))
        _use_utf8(self._dataset)
        self._filepath: PurePosixPath = self._dataset._filepath  # type: ignore[attr-defined]
        self.metadata = metadata
        if hasattr(self._dataset, "preview"):
            self.preview = self._dataset.preview

    def load(self) -> Any:
        """As the wrapped dataset, of a file whose digest is right.

        Raises:
            DatasetFileError: if the file is not there, or was damaged or changed after it was saved.
        """
        path = self.recorded_file
        if not path.is_file():
            raise DatasetFileError(f"{path}: is not there. Run the pipeline that makes it.")
        with kedro_errors():
            self._sidecar.check()
            path.open(
                "rb"
            ).close()  # Kedro's wrapper would turn a refusal into an error that no longer says that it is one
        return self._dataset.load()

    def save(self, data: Any) -> None:
        """Replace the file, whole or not at all.

        Raises:
            DatasetFileError: if it cannot be written; an earlier file is then as it was.
        """
        with kedro_errors():
            self._record(self._replace(data))

    def amend(self, data: Any) -> None:
        """Replace the file by itself with a remark: what it was made from stays what it was.

        Raises:
            DatasetFileError: if it cannot be written; an earlier file is then as it was.
        """
        with kedro_errors():
            made_from = self._sidecar.lines_of_origins()
            self._sidecar.rewrite(self._replace(data), made_from)

    def _replace(self, data: Any) -> str:
        """Replace the file, and give its digest, which is still to be written."""
        with whole_file(self.recorded_file) as temporary:
            elsewhere = self._dataset._copy(_filepath=PurePosixPath(temporary))
            # Kedro's wrapper would turn an error of the disk into one that no longer says that it is one.
            inspect.unwrap(type(elsewhere).save)(elsewhere, data)
            sync(temporary)
            digest = sha256(temporary)
            self._sidecar.remove()
        return digest

    @property
    def lacks_its_digest(self) -> bool:
        """Hidden files are left behind by some artifact stores, and by ``cp *``."""
        return self.recorded_file.is_file() and not self._sidecar.path.exists()

    @property
    def recorded_file(self) -> Path:
        """The file."""
        return Path(self._filepath)

    @property
    def origin_file(self) -> Path:
        """The file: what is made from it is made from these bytes."""
        return self.recorded_file

    @kedro_errors()
    def _exists(self) -> bool:
        return not self.is_stale and self._sidecar.is_current() and is_whole(self._sidecar.check)

    def _release(self) -> None:
        self._dataset.release()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "dataset": type(self._dataset).__qualname__}


def _refuse_what_is_not_whole(arguments: Mapping[str, Any]) -> None:
    filepath = str(arguments.get("filepath", ""))
    protocol, _ = get_protocol_and_path(filepath)
    if protocol != "file":
        raise DatasetFileError(
            f"{filepath}: is on {protocol!r}, expected a local path: only there can a file be replaced as a whole. Save it "
            "locally and copy it, or use the class of kedro_datasets without WholeFileDataset around it."
        )
    if "validator" in arguments:  # Kedro leaves it out there, with a warning that names no entry
        raise DatasetFileError(
            f"{filepath}: has 'validator' inside 'dataset', where it checks nothing. Put it beside 'type' of the entry."
        )
    for argument, name in _UNSUPPORTED.items():
        if arguments.get(argument) is not None:
            raise DatasetFileError(
                f"{filepath}: has {name!r} in the catalog, which whole files do not support: they are one local file "
                "each, replaced by the next run. Remove the argument, or use the class of kedro_datasets without "
                "WholeFileDataset around it."
            )


def _use_utf8(dataset: AbstractDataset[Any, Any]) -> None:
    """Have text files in UTF-8 wherever they are opened as texts: Kedro leaves that to the locale."""
    for way in ("save", "load"):
        arguments = getattr(dataset, f"_fs_open_args_{way}", {})
        if arguments.get("mode") in ("w", "r"):
            arguments.setdefault("encoding", "utf-8")
