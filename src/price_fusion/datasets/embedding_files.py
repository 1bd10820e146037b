"""Raw embeddings, as their makers stored them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

from kedro.io import AbstractDataset, DatasetError

from price_fusion.data.readers.embedding_files import files_of_embeddings, read_embeddings
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.local_path import local_path


class EmbeddingFilesDataset(AbstractDataset[NoReturn, RawEmbeddings]):
    """Ids and vectors of one source, read only.

    Args:
        filepath: a pickle or parquet file, or a folder of ``.npy`` files.
        file_format: ``pickle`` (a dict or a pandas frame), ``npy`` (a folder) or ``parquet``.
        embeddings: key, file or column of the vectors, where it is not the format's usual one.
        ids: key, file or column of the ids, likewise.
        binary_dtype: type of the numbers in a binary parquet column.
        sha256: digest that the file must have; for a folder, the digest of each file that is read, by its name. It is
            compared before anything is read.
        memory_gb: GiB of memory that reading a pickle may take, where the default, derived from its size, is not enough.
        seconds: of processor time that reading a pickle may take, likewise.
        metadata: for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        file_format: Literal["pickle", "npy", "parquet"],
        embeddings: str | None = None,
        ids: str | None = None,
        binary_dtype: Literal["float16", "float32"] = "float32",
        sha256: str | Mapping[str, str] | None = None,
        memory_gb: float | None = None,
        seconds: float | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = local_path(filepath)
        self._file_format = file_format
        self._embeddings = embeddings
        self._ids = ids
        self._binary_dtype = binary_dtype
        self._sha256 = sha256
        self._memory_gb = memory_gb
        self._seconds = seconds
        self.metadata = metadata

    def load(self) -> RawEmbeddings:
        """Read ids and vectors; ``.npy`` vectors are memory-mapped."""
        with kedro_errors():
            return read_embeddings(
                self._filepath,
                self._file_format,
                embeddings=self._embeddings,
                ids=self._ids,
                binary_dtype=self._binary_dtype,
                sha256=self._sha256,
                memory_gb=self._memory_gb,
                seconds=self._seconds,
            )

    def files(self) -> list[Path]:
        """The files that are read."""
        return files_of_embeddings(self._filepath, self._file_format, self._embeddings, self._ids)

    def save(self, data: NoReturn) -> None:
        """Refuse: raw data is never written."""
        raise DatasetError(f"{self._filepath} is raw data and is never written.")

    @kedro_errors()
    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "file_format": self._file_format}
