"""Progress of a training run: a line per epoch in the log, and a bar with the time left in a terminal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import rich
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from price_fusion.fusion.models.counts import REFERENCE_COUNTS

logger = logging.getLogger(__name__)


class TrainingProgress:
    """Shows the epochs of one run. The time left is an upper bound: early stopping may end the run sooner."""

    def __init__(self, variant: str, epochs: int, done: int = 0, *, quiet: bool = False) -> None:
        self._level = logging.DEBUG if quiet else logging.INFO
        self.variant = variant
        self.epochs = epochs
        console = rich.get_console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs,"),
            TimeElapsedColumn(),
            TextColumn("gone, at most"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(f"training {variant}", total=epochs, completed=done)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def epoch(self, record: dict[str, Any], best_smape: float, rows: int) -> None:
        """Show one finished epoch of so many train rows."""
        left = record["seconds"] * (self.epochs - record["epoch"])
        judged, shown = "", f"loss {record['loss']:.4f}"
        if "smape" in record:
            shown = f"SMAPE {record['smape']:.2f} % (best {best_smape:.2f} %)"
            judged = f", validation {shown}, MAE {record['mae']:.2f} USD, RMSE {record['rmse']:.2f} USD, R2 {record['r2']:.3f}"
        logger.log(
            self._level,
            "%s epoch %d/%d: loss %.4f%s, lr %.2g, %.1f s, %s rows/s, at most %s left",
            self.variant,
            record["epoch"],
            self.epochs,
            record["loss"],
            judged,
            record["learning_rate"],
            record["seconds"],
            f"{rows / record['seconds']:,.0f}",
            _duration(left),
        )
        self._bar.update(self._task, advance=1, description=f"{self.variant}: {shown}")


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


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
