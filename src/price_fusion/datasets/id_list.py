"""Lists of product ids."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from price_fusion.data.ids import Ids, parse_ids
from price_fusion.data.readers.column_names import ColumnNames
from price_fusion.data.readers.file_kinds import kind_of_file, refuse_other_kind
from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.raw_files import RawFiles
from price_fusion.errors import AlignmentError, DataError, combined

_SEVERAL = re.compile(r"-?[0-9]+(?:[\s,;]+-?[0-9]+)+")


class IdListDataset(RawFiles[Ids]):
    """A text file with one product id a line (a heading is allowed: what ``columns`` calls the id), read only.

    Args:
        filepath: the file.
        columns: what the product files call their columns, as of ``ProductTableDataset``.
        metadata: for plugins.
    """

    def __init__(
        self, *, filepath: str, columns: Mapping[str, Any] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        with kedro_errors():
            self._heading = ColumnNames.of(columns).id

    def load(self) -> Ids:
        """(N,) ids without repeats, sorted: int64 or fixed-width unicode."""
        with kedro_errors():
            return _read_ids(self._path, self._heading)


def _read_ids(path: Path, heading: str) -> Ids:
    refuse_other_kind(kind_of_file(path), path, ("text", "empty"), "one product id a line", "write its ids one a line")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read the list of ids ({error}). Expected one product id a line.") from error
    entries = {number: line.strip() for number, line in enumerate(lines, start=1) if line.strip()}
    if entries and (first := min(entries)) and entries[first] == heading:
        del entries[first]
    several = [number for number, entry in entries.items() if _SEVERAL.fullmatch(entry)]
    if several:
        raise DataError(
            f"{path}: line {several[0]} and {len(several) - 1} more hold several numbers ({entries[several[0]][:60]!r}), "
            "expected one product id a line. Put each on a line of its own."
        )
    ids, problems = parse_ids(list(entries.values()), str(path), place="line", numbers=list(entries))
    # An id that is listed twice is as good as one.
    faults = [problem for problem in problems if not isinstance(problem, AlignmentError)]
    if faults:
        raise combined(str(path), faults)
    return ids[np.unique(ids, return_index=True)[1]]
