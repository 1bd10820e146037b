"""What a run ends with: its nodes, what they found and wrote, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rich
from rich import box
from rich.console import Console
from rich.table import Table

from price_fusion.console.commands import shown_path, with_environment
from price_fusion.console.leaderboard_tables import leaderboard_table, variants_table
from price_fusion.console.table_form import folded
from price_fusion.console.tables import alignment_tables, intervals_table, metrics_table, report_table
from price_fusion.lazy import pd
from price_fusion.runs.journal import NodeTime


class RunSummary:
    """Collects outputs of nodes and prints those that a person wants to see.

    Args:
        nodes: that ran.
        env: the environment of the run, which commands repeat.
    """

    def __init__(self, nodes: Sequence[NodeTime] = (), env: str | None = None) -> None:
        self._nodes = nodes
        self._env = env
        self._alignments: dict[str, dict[str, Mapping[str, Any]]] = {}
        """Alignment reports by products and model."""
        self._reports: list[Table] = []
        self._leaderboard: pd.DataFrame | None = None
        self._verdict: list[str] = []
        self._metrics: dict[str, Mapping[str, Any]] = {}
        self._intervals: dict[str, Mapping[str, Any]] = {}
        self._paths: dict[str, Path] = {}

    def add_path(self, dataset: str, path: Path) -> None:
        """Take note of where the catalog keeps an output."""
        self._paths[dataset] = path

    def add(self, dataset: str, data: Any) -> None:
        """Take note of an output, by its name in the catalog."""
        model, _, kind = dataset.rpartition(".")
        if kind.endswith("_alignment_report"):
            self._alignments.setdefault(data["products"], {})[model] = data
        elif table := report_table(kind, model, data):
            self._reports.append(table)
        elif kind == "leaderboard":
            self._leaderboard = data
        elif kind == "leaderboard_json":
            self._verdict = data["verdict"]
        elif kind == "interval_summary" and data:
            self._intervals[model] = data
        elif kind in ("metrics", "out_of_fold_metrics"):
            self._metrics[model] = data

    def print(self, console: Console | None = None) -> None:
        """Print all tables, the metrics and the leaderboard last, and what to do next."""
        console = console or rich.get_console()
        tables = [nodes_table(self._nodes, self._paths)] if self._nodes else []
        tables += [table for reports in self._alignments.values() for table in alignment_tables(reports)]
        tables += self._reports
        if self._metrics:
            tables.append(metrics_table(self._metrics))
        if self._intervals:
            tables.append(intervals_table(self._intervals))
        if self._leaderboard is not None:
            tables += [leaderboard_table(self._leaderboard), variants_table(self._leaderboard)]
        for table in tables:
            console.print(folded(table))
        for sentence in self._verdict:
            said = with_environment(f"{sentence[0].upper()}{sentence[1:]}", self._env)
            console.print(said, soft_wrap=True, markup=False, highlight=False)
        if next_step := self._next_step():
            console.print(next_step, soft_wrap=True)

    def _next_step(self) -> str | None:
        """What a user most likely wants to do with what was made."""
        reports = {
            name: path
            for name, path in self._paths.items()
            if name.endswith(("report", ".report")) and path.suffix == ".html"
        }
        chosen = reports.get("comparison_report") or next(iter(reversed(reports.values())), None)
        prices = next(
            (path for name, path in self._paths.items() if name.endswith((".ordered_predictions", ".predictions"))),
            None,
        )
        made = [] if chosen is None else [f"open {shown_path(chosen)} in a browser"]
        made += [] if prices is None else [f"the prices are in {shown_path(prices)}"]
        if made:
            return f"Next: {'; '.join(made)}."
        if "fabricated_sample" in self._paths:
            return with_environment("Next: kedro run", self._env)
        if "fabricated_shop" in self._paths:
            return f"Next: kedro price-fusion init {shown_path(self._paths['fabricated_shop'])} --env shop"
        return None


def nodes_table(nodes: Sequence[NodeTime], paths: Mapping[str, Path]) -> Table:
    """What ran, how long, and what it wrote where."""
    total = sum(node.seconds for node in nodes)
    table = Table(
        title=f"{len(nodes)} node{'s' * (len(nodes) != 1)} ran, {total:.1f} s in all",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("node")
    table.add_column("s", justify="right")
    table.add_column("peak memory of\nthe run, MB", justify="right")
    table.add_column("written", overflow="fold")
    table.add_column("size", justify="right")
    for node in nodes:
        written: list[Path | None] = [paths[name] for name in node.outputs if name in paths]
        for place, path in enumerate(written or [None]):
            peak = "" if node.peak_bytes is None else f"{node.peak_bytes / 1e6:,.0f}"
            facts = (node.name, f"{node.seconds:.1f}", peak) if place == 0 else ("", "", "")
            table.add_row(*facts, *(("", "") if path is None else (shown_path(path), _size(path))))
    return table


def _size(path: Path) -> str:
    """Of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    size: float = sum(file.stat().st_size for file in files if file.is_file())
    for unit in ("B", "kB", "MB"):
        if size < 1_000:
            return f"{size:.3g} {unit}" if unit != "B" else f"{size:.0f} B"
        size /= 1_000
    return f"{size:.3g} GB"
