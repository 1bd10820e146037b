"""What programs write into an empty field."""

from __future__ import annotations

from collections.abc import Sequence

EMPTY = ("nan", "none", "null", "n/a", "na", "<na>", "#n/a", "nil", "nat", "undefined", "-")
"""What programs write into an empty field, in lower case: a link or text of it is empty, and shared by nobody."""
_SHORT = max(map(len, EMPTY)) + 8


def without_placeholders(texts: Sequence[str]) -> tuple[str, ...]:
    """Texts, empty where they are blank or one of ``EMPTY``."""
    return tuple("" if _is_empty(text) else text for text in texts)


def _is_empty(text: str) -> bool:
    return text.isspace() or (len(text) <= _SHORT and text.strip().lower() in EMPTY)
