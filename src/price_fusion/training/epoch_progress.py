"""Progress of a training run: one live line in a terminal, a line per epoch anywhere else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import rich
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from price_fusion.compute.progress import REFRESH, displays, duration
from price_fusion.models.counts import REFERENCE_COUNTS

logger = logging.getLogger(__name__)

MANY_EPOCHS = 30
"""Runs of more epochs have at most one line every ``PLAIN_EVERY`` seconds."""
PLAIN_EVERY = 5.0
WITHIN_EVERY = 30.0
"""Seconds between two lines within an epoch, where there is no terminal: one of millions of products takes minutes."""


class TrainingProgress:
    """Shows the epochs of one run. The time left is an upper bound: early stopping may end the run sooner.

    Args:
        variant: its name.
        epochs: at most.
        rows: train rows of an epoch.
        quiet: nothing is shown, and logged for debugging only: for one run of many.
    """

    def __init__(self, variant: str, epochs: int, rows: int, *, quiet: bool = False) -> None:
        self._level = logging.DEBUG if quiet else logging.INFO
        self.variant, self.epochs, self.rows = variant, epochs, rows
        console = rich.get_console()
        self._live = console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task = self._bar.add_task(f"training {variant}", total=epochs * rows)
        self._done = 0
        self._last: Mapping[str, Any] = {}
        self._best = ""
        self._began = self._drawn = self._logged = perf_counter()
        self._rows_here = 0

    def started(self, done: int) -> Self:
        """Begin after so many epochs, which the run that is resumed has done."""
        self._done = done
        self._began = self._drawn = self._logged = perf_counter()
        return self

    def __enter__(self) -> Self:
        displays.append(self)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        displays.remove(self)
        self._bar.stop()

    def step(self, rows: int, products: int) -> None:
        """Take note of a batch; waits for nothing.

        Args:
            rows: of the batch.
            products: of this epoch so far.
        """
        self._rows_here += rows
        now = perf_counter()
        if self._live and now - self._drawn >= REFRESH:
            self._drawn = now
            self._bar.update(
                self._task, completed=self._done * self.rows + products, description=self._line(now, products)
            )
        elif not self._live and now - self._logged >= WITHIN_EVERY:
            self._logged = now
            logger.log(self._level, "%s, %d %% of the epoch", self._line(now, products), 100 * products // self.rows)

    def epoch(self, record: Mapping[str, Any], best_smape: float) -> None:
        """Show one finished epoch."""
        self._done, self._last = record["epoch"], record
        if "smape" in record:
            self._best = f", best {best_smape:.2f} %"
        now = perf_counter()
        self._bar.update(self._task, completed=self._done * self.rows, description=self._line(now, 0))
        few = self.epochs <= MANY_EPOCHS or self._done in (1, self.epochs)
        if self._live or not (few or now - self._logged >= PLAIN_EVERY):
            return
        self._logged = now
        left = record["seconds"] * (self.epochs - self._done)
        speed = f"{self.rows / record['seconds']:,.0f} rows/s, at most {duration(left)} left"
        logger.log(self._level, "%s epoch %d/%d: %s, %s", self.variant, self._done, self.epochs, self._found(), speed)

    def kept(self, epoch: int, smape: float | None, *, is_best: bool) -> None:
        """Say whose weights are kept, after the last epoch."""
        why = "the best" if is_best else "the last"
        judged = "" if smape is None else f", validation SMAPE {smape:.2f} %"
        seconds = duration(perf_counter() - self._began)
        logger.log(
            self._level,
            "%s: kept epoch %d of %d (%s)%s; trained for %s",
            self.variant,
            epoch,
            self._done,
            why,
            judged,
            seconds,
        )

    def _line(self, now: float, products: int) -> str:
        speed = self._rows_here / max(now - self._began, 1e-9)
        to_go = (self.epochs - self._done) * self.rows - products
        left = f", at most {duration(to_go / speed)} left" if speed else ""
        found = f"{self._found()}, " if self._last else ""
        return (
            f"{self.variant} epoch {min(self._done + 1, self.epochs)}/{self.epochs}: {found}{speed:,.0f} rows/s{left}"
        )

    def _found(self) -> str:
        """What the last finished epoch found."""
        record = self._last
        judged = f", validation SMAPE {record['smape']:.2f} %{self._best}" if "smape" in record else ""
        return f"loss {record['loss']:.4f}{judged}, lr {record['learning_rate']:.2g}"


def show_parameter_counts(variant: str, counts: Mapping[str, int]) -> None:
    """Print how large a model is, next to the reference's model of that name where there is one."""
    reference = REFERENCE_COUNTS.get(variant)
    table = Table(title=f"Parameters of {variant}", title_justify="left")
    table.add_column("component")
    table.add_column("parameters", justify="right")
    if reference:
        table.add_column("reference", justify="right")
    for component, count in counts.items():
        theirs = [f"{reference[component]:,}" if component in reference else ""] if reference else []
        table.add_row(component, f"{count:,}", *theirs, end_section=component == "head")
    rich.get_console().print(table)
