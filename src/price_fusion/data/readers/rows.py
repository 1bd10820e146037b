"""What a reader of embeddings found, before anything of it is judged, and the options of a catalog entry that it asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from price_fusion.errors import few

BinaryDtype = Literal["float16", "float32"]
OF_PRODUCTS = "products"
"""What ``ids`` says where row n of the vectors belongs to product n of the product file."""
VECTOR_NAMES = ("embeddings", "embedding")
"""Usual names of vectors: keys, columns, and files without what follows the dot."""
ID_NAMES = ("sample_ids", "sample_id", "ids", "id")
"""Usual names of ids, likewise; the first that there is counts."""


@dataclass(frozen=True)
class Asked:
    """What a catalog entry says of its files, as far as readers need it."""

    embeddings: str | None = None
    """Key, column or file of the vectors; ``emb_*`` for a column a dimension. By default one of ``VECTOR_NAMES``, or the only one."""
    ids: str | None = None
    """Key, column or file of the ids, or ``products``; by default one of ``ID_NAMES``."""
    id_column: str | None = None
    """Column of the ids in a file that ``ids`` names."""
    binary_dtype: BinaryDtype = "float32"
    """Type of the numbers in a binary column; little-endian."""
    memory_gb: float | None = None
    """GiB that reading a pickle may take."""
    seconds: float | None = None
    """Of processor time that reading a pickle may take."""

    @property
    def of_products(self) -> bool:
        """Whether rows are in the order of the product file."""
        return self.ids == OF_PRODUCTS


@dataclass(frozen=True)
class FoundRows:
    """Ids and vectors of a file, as they are in it."""

    ids: object
    """N of them in any form; None where the file has none and needs none."""
    vectors: object
    """(N, D), if all is well; NaN in the rows of ``nulls``."""
    nulls: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows that hold no vector."""
    rows_by_file: Sequence[int] = ()
    """How many are in each file of vectors; needed only where there are several files."""


@dataclass(frozen=True)
class Places:
    """Where the rows of a matrix are in the files that it was read from, for messages.

    Attributes:
        files: each with the number of its rows, in their order.
        rows: of these files that the matrix has, (N,), counted through all of them; None: all.
    """

    files: Sequence[tuple[str, int]]
    rows: NDArray[np.int64] | None = None

    def of(self, row: int) -> str:
        """File and row of a row of the matrix.

        >>> Places([("part-0.npy", 4), ("part-1.npy", 4)]).of(5)
        'part-1.npy: row 1'
        """
        number = row if self.rows is None else int(self.rows[row])
        ends = np.cumsum([rows for _, rows in self.files])
        file = int(np.searchsorted(ends, number, side="right"))
        name, rows = self.files[file]
        return f"{name}: row {number - int(ends[file]) + rows}"


@dataclass(frozen=True)
class Located:
    """What a path of a catalog entry leads to: found without reading a vector."""

    kind: str
    """Name of the format."""
    vectors: Sequence[Path]
    """Files with vectors, in the order of their rows."""
    ids: Sequence[Path] = ()
    """Files with the ids of the rows, where they are files of their own."""
    needs_products: bool = False
    """Whether the ids are those of the product file."""

    @property
    def files(self) -> list[Path]:
        """All files that are read."""
        return list(dict.fromkeys([*self.vectors, *self.ids]))


def widened(bits: NDArray[Any]) -> NDArray[np.float32]:
    """float32 with the values of bfloat16: the upper half of a float32 is one.

    Args:
        bits: 16 bits a value, of any 2-byte type and shape.
    """
    return (np.ascontiguousarray(bits).view("<u2").astype("<u4") << 16).view("<f4")


def row_blocks(rows: int, size: int, first: int = 0) -> Iterator[slice]:
    """Blocks of ``size`` rows, and of what is left, from ``first`` on, that follow each other up to ``rows``."""
    return (slice(start, min(start + size, rows)) for start in range(first, rows, size))


def first_rows(rows: Sequence[int] | NDArray[np.int64]) -> str:
    """The numbers of some rows for a message, the first five of them."""
    return f"{'row' if len(rows) == 1 else 'rows'} {few([*rows])}"
