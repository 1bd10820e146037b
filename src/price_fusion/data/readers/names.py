"""Which of the keys, columns or files that there are is meant, and what to say when it is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from price_fusion.errors import DataError

_SHOWN = 20


def chosen(asked: str | None, usual: Iterable[str], present: Collection[str]) -> str | None:
    """The name that was asked for, or else the first usual one that is there; None where it is not there."""
    return next((name for name in ([asked] if asked is not None else usual) if name in present), None)


def nearest(name: str, present: Iterable[str]) -> str | None:
    """The name among those that are there that is most likely meant; None where there is no similar one.

    Capitals, blanks, hyphens and underscores make no difference.
    """
    plain = {_plain(one): one for one in reversed(list(present)) if one}
    near = difflib.get_close_matches(_plain(name), plain, n=1)
    inside = [plain[one] for one in plain if _plain(name) in one.split("_")]
    return plain[near[0]] if near else inside[0] if len(inside) == 1 else None


def lacking(origin: Path | str, needed: Iterable[str], found: Iterable[str], more: str = "") -> DataError:
    """The error for a table of products without columns that it must have.

    Args:
        origin: the file or folder.
        needed: columns that it must have.
        found: columns that it has.
        more: what else may be wrong.
    """
    names, wanted = list(found), list(needed)
    missing = [name for name in wanted if name not in names]
    return DataError(
        f"{origin}: lacks the column(s) {', '.join(missing)}{meant(missing, names)}; found "
        f"{', '.join(map(repr, names))[:500] or 'a malformed header'}; expected {', '.join(wanted)} (capitals and blanks matter). "
        f"Add them, or say what the file calls them ('columns' in globals.yml).{more}"
    )


def meant(missing: Iterable[str], present: Iterable[str]) -> str:
    """What names that are not there may mean, in parentheses; nothing where none is similar to one."""
    names = list(present)
    near = [(name, one) for name in missing if (one := nearest(name, names))]
    return f" (did you mean {', '.join(f'{one!r} for {name!r}' for name, one in near)}?)" if near else ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def absent(origin: Path | str, kind: str, name: str, present: Iterable[str], advice: str = "") -> DataError:
    """The error for a name that a file or folder does not have.

    Args:
        origin: the file or folder.
        kind: what is named: ``key``, ``column``, ``file``.
        name: the name that was asked for.
        present: the names that are there, in their order.
        advice: what to do, where it is not to name another in the catalog.
    """
    names = list(present)
    near = nearest(name, names)
    listing = ", ".join(repr(other) for other in names[:_SHOWN]) or "none"
    return DataError(
        f"{origin}: found no {kind} {name!r}, only {listing}{f'; did you mean {near!r}?' if near else '.'} "
        f"{advice or f'Name the {kind} that holds it in the catalog'}."
    )
