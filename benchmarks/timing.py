"""Timing of work, and the refusal of figures that cannot be.

Nothing here gives a rate or a time without two checks: that the work done is the work said, and that no repeat was faster
than a bound that was measured. A benchmark that times nothing ends in an error, not in a record.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter


class ImpossibleFigureError(RuntimeError):
    """A figure that cannot be true: the benchmark is wrong, or the bound was measured on a busy machine."""


@dataclass
class Timings:
    """Seconds of repeats of one piece of work."""

    name: str
    """For messages."""
    amount: int
    """What each repeat is to do, in ``unit``."""
    unit: str = "rows"
    seconds: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], int]) -> None:
        """Do the work once and time it.

        Args:
            work: returns how much it did, counted where it was done.

        Raises:
            ImpossibleFigureError: if that is not the amount.
        """
        started = perf_counter()
        done = work()
        self.note(done, perf_counter() - started)

    def note(self, done: int, seconds: float) -> None:
        """Take note of a repeat that was timed elsewhere.

        Raises:
            ImpossibleFigureError: if the work done is not the amount.
        """
        if done != self.amount:
            raise ImpossibleFigureError(
                f"{self.name}: {done:,} of {self.amount:,} {self.unit} were done in the {seconds:.3g} s that were timed: "
                "the figure would say what did not happen."
            )
        self.seconds.append(seconds)

    def rate(self, ceiling: float) -> float:
        """Amount a second, at the median.

        Args:
            ceiling: the most that is possible, measured on the same machine.

        Raises:
            ImpossibleFigureError: if the fastest repeat beats the ceiling.
        """
        self._refuse_faster_than(self.amount / ceiling)
        return self.amount / statistics.median(self.seconds)

    def median(self, floor: float) -> float:
        """Median seconds.

        Args:
            floor: the fewest seconds that are possible, measured on the same machine.

        Raises:
            ImpossibleFigureError: if the fastest repeat beats the floor.
        """
        self._refuse_faster_than(floor)
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(longest - shortest) / median."""
        return (max(self.seconds) - min(self.seconds)) / statistics.median(self.seconds)

    def _refuse_faster_than(self, floor: float) -> None:
        if not self.seconds:
            raise ImpossibleFigureError(f"{self.name}: nothing was timed.")
        fastest = min(self.seconds)
        if fastest < floor:
            raise ImpossibleFigureError(
                f"{self.name}: {self.amount:,} {self.unit} in {fastest:.3g} s, and this machine needs {floor:.3g} s at "
                f"least ({100 * floor / fastest:,.0f} % of what is possible). Either the benchmark does not measure what it "
                "says, or the bound was measured while the machine was busy: repeat it on a quiet one."
            )


def timed(name: str, amount: int, work: Callable[[], int], repeats: int, unit: str = "rows") -> Timings:
    """Time work some times, after one run that is not counted.

    Args:
        name: for messages.
        amount: what each run is to do.
        work: returns how much it did.
        repeats: runs that count.
        unit: of the amount.
    """
    Timings(name, amount, unit).add(work)
    timings = Timings(name, amount, unit)
    for _ in range(repeats):
        timings.add(work)
    return timings


def best_seconds(function: Callable[[], object], seconds: float) -> float:
    """Shortest time of one call, over calls that together last so long.

    Short calls are timed in bundles of a millisecond: less than a busy machine gives a process at a time, so that others
    hardly show in the best.
    """
    function()
    started = perf_counter()
    function()
    bundle = max(1, round(0.001 / max(perf_counter() - started, 1e-7)))
    best, end = float("inf"), perf_counter() + seconds
    while best == float("inf") or perf_counter() < end:
        started = perf_counter()
        for _ in range(bundle):
            function()
        best = min(best, (perf_counter() - started) / bundle)
    return best
