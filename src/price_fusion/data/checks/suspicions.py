"""Likely mistakes in inputs that can be used: how they are described, reported and acted on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from price_fusion.errors import SHOWN, DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suspicion:
    """One likely mistake.

    Attributes:
        where: the file or column it is in.
        check: name of the check.
        found: what was found, in words.
        count: how many rows, products or columns.
        of: out of how many.
        unit: what is counted: ``products``, ``rows`` or ``columns``.
        examples: the first ids, or numbers of columns; none where all rows are meant.
        advice: what to do about it.
    """

    where: str
    check: str
    found: str
    count: int
    of: int
    unit: str
    examples: tuple[int | str, ...]
    advice: str

    def __str__(self) -> str:
        """One line for a log."""
        further = ", ..." if self.count > len(self.examples) else ""
        names = "columns" if self.unit == "columns" else "ids"
        shown = f" ({names} {', '.join(map(str, self.examples))}{further})" if self.examples else ""
        return f"{self.where}: {self.found}: {self.count:,} of {self.of:,} {self.unit}{shown}. {self.advice}"


def first(values: NDArray[Any] | Sequence[Any]) -> tuple[int | str, ...]:
    """The first few ids or columns as plain Python values."""
    return tuple(np.asarray(values)[:SHOWN].tolist())


def report_suspicions(
    suspicions: Iterable[Suspicion], *, part: str, on_suspicion: Literal["warn", "error"]
) -> dict[str, Any]:
    """Log all suspicions, or stop on them.

    Args:
        suspicions: what was found.
        part: whose inputs they are of (``train``, ``test``).
        on_suspicion: what to do about them.

    Returns:
        ``part`` and ``suspicions``, one mapping each, for the report.

    Raises:
        DataError: with all of them, if ``on_suspicion`` is ``error``.
    """
    found = list(suspicions)
    if found and on_suspicion == "error":
        lines = "\n".join(f"  {number}. {suspicion}" for number, suspicion in enumerate(found, start=1))
        raise DataError(
            f"{len(found)} likely mistake(s) in the inputs of {part}, and ingestion.on_suspicion is 'error':\n{lines}\n"
            "Fix them, or set ingestion.on_suspicion to 'warn' if they are as they should be.",
            [str(suspicion) for suspicion in found],
        )
    for suspicion in found:
        logger.warning("%s", suspicion)
    return {"part": part, "suspicions": [asdict(suspicion) for suspicion in found]}
