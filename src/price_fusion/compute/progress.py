"""Progress of long loops: a bar with the time left in a terminal, and a line now and then anywhere else.

Loops that are over in a few seconds show nothing. One display at a time: what runs inside of another stays silent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import rich

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds after which a loop begins to show progress."""
PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""
REFRESH = 0.2
"""Seconds between two updates of a bar."""

Item = TypeVar("Item")
displays: list[object] = []
"""What shows progress now; the first one does, the others are inside of it."""


class LoopProgress:
    """Shows how far a loop is.

    Args:
        label: what is done, such as ``predicting prices``.
        total: how many there are.
        unit: what is counted.
    """

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        self._silent = bool(displays)
        displays.append(self)
        self._began = self._last = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        displays.remove(self)
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int = 1) -> None:
        """Take note of so many more."""
        self.done += count
        now = perf_counter()
        if self._silent or now - self._began < PATIENCE:
            return
        if rich.get_console().is_terminal:
            self._draw(now)
        elif now - self._last >= PLAIN_EVERY and self.done < self.total:
            self._last = now
            left = (now - self._began) / max(self.done, 1) * (self.total - self.done)
            logger.info("%s: %s, %s left", self.label, self._counts(), duration(left))

    def _counts(self) -> str:
        return f"{self.done:,} of {self.total:,} {self.unit}"

    def _draw(self, now: float) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"))
            self._bar = Progress(
                *columns, TimeRemainingColumn(), TextColumn("left"), transient=True, speed_estimate_period=60
            )
            self._task = self._bar.add_task(self.label, total=self.total, counts="")
            self._bar.start()
        elif now - self._last < REFRESH:
            return
        self._last = now
        self._bar.update(self._task, completed=self.done, counts=self._counts())


def tracked(items: Sequence[Item] | Iterable[Item], label: str, unit: str, total: int | None = None) -> Iterator[Item]:
    """The items, with progress while they are gone through.

    Args:
        items: to go through.
        label: what is done.
        unit: what is counted.
        total: how many there are, where the items have no length.
    """
    count = len(items) if isinstance(items, Sequence) else total
    if count is None:
        raise ValueError("items without a length need a total")
    with LoopProgress(label, count, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def duration(seconds: float) -> str:
    """In the units that a person would say."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
