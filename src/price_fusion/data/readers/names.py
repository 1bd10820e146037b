"""Which of the keys, columns or files that there are is meant, and what to say when it is none."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from pathlib import Path

from price_fusion.errors import DataError

_SHOWN = 20


def chosen(asked: str | None, usual: Iterable[str], present: Collection[str]) -> str | None:
    """The name that was asked for, or else the first usual one that is there; None where it is not there."""
    return next((name for name in ([asked] if asked is not None else usual) if name in present), None)


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
