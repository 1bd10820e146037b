"""Raw embeddings, as their makers stored them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from price_fusion.data.ids import Ids
from price_fusion.data.partitions.parquet_embeddings import ParquetEmbeddings
from price_fusion.data.readers.embedding_files import FileFormat, locate_embeddings, read_embeddings
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.row_rules import RowRules, Several
from price_fusion.data.readers.rows import Asked
from price_fusion.datasets.errors import DatasetFileError, kedro_errors
from price_fusion.datasets.product_table import ProductTableDataset
from price_fusion.datasets.raw_files import RawFiles


class EmbeddingFilesDataset(RawFiles[RawEmbeddings | ParquetEmbeddings]):
    """Ids and vectors of one source, read only. Their format follows from the first bytes of the file.

    Args:
        filepath: a file or folder. Where it is read in pieces, it may be an address in an object store.
        file_format: ``auto``, or what the format must be.
        embeddings: key, file or column of the vectors, where it is not a usual one and not the only one; ``emb_*`` for a column
            a dimension.
        ids: key, file or column of the ids, likewise. ``products``: row n belongs to product n of the product file, as rows
            of a ``.npy`` without ids do.
        id_column: column of the ids, where ``ids`` names a table beside the vectors.
        binary_dtype: type of the numbers in a binary column.
        missing: which rows count as no embedding of their product: ``null``, ``nan`` or ``zero``.
        several_rows: ``mean`` averages several rows of one id, which are refused otherwise.
        sha256: digest that the file must have; for a folder, the digest of each file that is read, by its name. It is
            compared before anything is read.
        memory_gb: GiB of memory that reading a pickle may take, where the default, derived from its size, is not enough.
        seconds: of processor time that reading a pickle may take, likewise.
        in_pieces: whether loading gives a handle, ``ParquetEmbeddings``, for runs with ``compute.partitions``: all parquet files of
            the folder are read row group by row group, which should be of 100 MB or so. Of the other arguments, ``embeddings``,
            ``ids`` and ``binary_dtype`` are allowed beside it.
        metadata: for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        file_format: FileFormat = "auto",
        embeddings: str | None = None,
        ids: str | None = None,
        id_column: str | None = None,
        binary_dtype: Literal["float16", "float32"] = "float32",
        missing: Literal["refuse", "null", "nan", "zero"] | None = "refuse",
        several_rows: Several = "refuse",
        sha256: str | Mapping[str, str] | None = None,
        memory_gb: float | None = None,
        seconds: float | None = None,
        in_pieces: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, in_pieces=in_pieces, metadata=metadata)
        self._file_format = file_format
        self._asked = Asked(embeddings, ids, id_column, binary_dtype, memory_gb, seconds)
        with kedro_errors():
            self._rules = RowRules("null" if missing is None else missing, several_rows)  # null without quotes, in YAML
        self._sha256 = sha256
        if in_pieces and (
            file_format not in ("auto", "parquet")
            or self._asked != Asked(embeddings, ids, binary_dtype=binary_dtype)
            or self._rules != RowRules()
            or sha256 is not None
        ):
            raise DatasetFileError(
                f"{filepath}: has in_pieces, which reads parquet files row group by row group and allows embeddings, ids and "
                "binary_dtype alone beside it. Remove the other arguments, or in_pieces."
            )
        self._products: ProductTableDataset | None = None

    def load(self) -> RawEmbeddings | ParquetEmbeddings:
        """Read ids and vectors; what can be memory-mapped is. Or give the handle."""
        if self.in_pieces:
            return self._parquet
        with kedro_errors():
            return read_embeddings(
                self._path,
                self._file_format,
                asked=self._asked,
                rules=self._rules,
                products=self._product_ids if self._products is not None else None,
                sha256=self._sha256,
            )

    def follow(self, products: ProductTableDataset) -> None:
        """Take the ids of vectors without ids of their own from the file of these products."""
        self._products = products

    def files(self) -> list[Path]:
        """The files that are read, where they are on a disk."""
        with kedro_errors():
            if self.in_pieces:
                return [self._path / name for name in self._parquet.names()]
            located = locate_embeddings(self._path, self._file_format, self._asked)
        products = self._products.files() if located.needs_products and self._products is not None else []
        return [*located.files, *products]

    def versions(self) -> dict[str, Any]:
        """What tells the contents of files that are read in pieces from others, by their names."""
        with kedro_errors():
            return self._parquet.versions()

    @property
    def _parquet(self) -> ParquetEmbeddings:
        return ParquetEmbeddings(self._filepath, self._asked)

    def _product_ids(self) -> tuple[Ids, str]:
        assert self._products is not None  # noqa: S101 - for the type checker
        return self._products.ids_in_file(), str(self._products.files()[0])

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "file_format": self._file_format}
