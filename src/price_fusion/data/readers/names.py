"""What to say when a key, column or file is not there under the name that was asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from price_fusion.errors import DataError

_SHOWN = 20


def absent(origin: Path | str, kind: str, name: str, present: Iterable[str]) -> DataError:
    """The error for a name that a file or folder does not have.

    Args:
        origin: the file or folder.
        kind: what is named: ``key``, ``column``, ``file``.
        name: the name that was asked for.
        present: the names that are there, in their order.
    """
    names = list(present)
    near = difflib.get_close_matches(name, names, n=1)
    listing = ", ".join(repr(other) for other in names[:_SHOWN]) or "none"
    return DataError(
        f"{origin}: found no {kind} {name!r}, only {listing}{f'; did you mean {near[0]!r}?' if near else '.'} "
        f"Name the {kind} that holds it in the catalog."
    )
