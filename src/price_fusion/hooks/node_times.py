"""How long each node of a run takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter


@dataclass
class NodeTime:
    """A node that ran.

    Attributes:
        name: of the node.
        outputs: names of its datasets.
        seconds: with loading and saving.
        peak_bytes: most memory that the process had held by then; None where the system does not say.
    """

    name: str
    outputs: list[str]
    seconds: float
    peak_bytes: int | None


class NodeTimes:
    """Takes the time of each node of a run."""

    def __init__(self) -> None:
        self.nodes: list[NodeTime] = []
        self._started: dict[str, float] = {}
        self._saved: Counter[str] = Counter()

    def start(self, name: str) -> None:
        """Start the clock of a node, unless it runs."""
        self._started.setdefault(name, perf_counter())

    def saved(self, name: str) -> int:
        """Outputs that a node has saved, with one more."""
        self._saved[name] += 1
        return self._saved[name]

    def finish(self, name: str, outputs: Sequence[str], peak_bytes: int | None = None) -> float:
        """Stop the clock of a node; its seconds."""
        seconds = perf_counter() - self._started.pop(name)
        self.nodes.append(NodeTime(name, list(outputs), seconds, peak_bytes))
        return seconds

    def forget(self) -> None:
        """Begin anew."""
        self.__init__()  # type: ignore[misc]
