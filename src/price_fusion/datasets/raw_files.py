"""Raw files that are read piece by piece: handles on product files and on embeddings in parquet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NoReturn

from kedro.io import AbstractDataset, DatasetError

from price_fusion.data.partitions.parquet_embeddings import ParquetEmbeddings
from price_fusion.data.partitions.product_files import ProductFiles, found_files
from price_fusion.data.products import ProductRows
from price_fusion.data.readers.column_names import ColumnNames
from price_fusion.data.readers.layout import Layout
from price_fusion.datasets.errors import kedro_errors
from price_fusion.storage.store import Store


class RawFilesDataset(AbstractDataset[NoReturn, Any]):
    """Gives a handle on raw files; nothing of them is read."""

    _filepath: str

    def save(self, data: NoReturn) -> None:
        """Refuse: raw data is never written."""
        raise DatasetError(f"{self._filepath} is raw data and is never written.")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


class ProductFilesDataset(RawFilesDataset):
    """Products of a CSV or parquet file, or of a folder of parquet files, for runs with ``compute.partitions``.

    Args:
        filepath: the file or folder, or an address in an object store.
        labelled: whether they have prices.
        delimiter: as of ``ProductTableDataset``, like the next three.
        decimal: between whole and fractional digits.
        thousands: between groups of three digits.
        encoding: where it is not UTF-8.
        sha256: that a file on a disk must have.
        columns: as of ``ProductTableDataset``, like ``rows``.
        rows: which ones.
        metadata: for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        labelled: bool,
        delimiter: str | None = None,
        decimal: str = ".",
        thousands: str | None = None,
        encoding: str | None = None,
        sha256: str | None = None,
        columns: Mapping[str, Any] | None = None,
        rows: ProductRows = "all",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = filepath
        self._labelled = labelled
        self._rows = rows
        with kedro_errors():
            self._layout = Layout(delimiter=delimiter, encoding=encoding, decimal=decimal, thousands=thousands)
            self._names = ColumnNames.of(columns)
        self._sha256 = sha256
        self.metadata = metadata

    def load(self) -> ProductFiles:
        """The handle."""
        return ProductFiles(self._filepath, self._labelled, self._layout, self._sha256, self._names, self._rows)

    def version(self) -> dict[str, Any]:
        """What tells these files from others, by their names: sizes, and times or tags of change."""
        with kedro_errors():
            return {one.url.rpartition("/")[2]: list(one.version) for one in found_files(self.load())}

    def _exists(self) -> bool:
        store, _, name = self._filepath.rpartition("/")
        with kedro_errors():
            return Store(store).size(name) is not None or bool(Store(self._filepath).names())


class ParquetEmbeddingsDataset(RawFilesDataset):
    """Embeddings in parquet files of one folder, for runs with ``compute.partitions``.

    Args:
        filepath: the folder, or its address in an object store; partitions are folders in it.
        embeddings: column of the vectors (lists of floats, or bytes), where it is not a usual one and not the only one; ``emb_*``
            for a column a dimension.
        ids: column of the ids, where it is not a usual one.
        binary_dtype: type of the numbers in a binary column.
        metadata: for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        embeddings: str | None = None,
        ids: str | None = None,
        binary_dtype: Literal["float16", "float32"] = "float32",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = filepath
        self._embeddings = ParquetEmbeddings(filepath, embeddings, ids, binary_dtype)
        self.metadata = metadata

    def load(self) -> ParquetEmbeddings:
        """The handle."""
        return self._embeddings

    def version(self) -> dict[str, Any]:
        """What tells these files from others: names, sizes, and times or tags of change."""
        with kedro_errors():
            return {"files": self._embeddings.version()}

    def _exists(self) -> bool:
        with kedro_errors():
            return bool(Store(self._filepath).names())
