"""Models side by side, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from price_fusion.data.money import money
from price_fusion.lazy import pd
from price_fusion.selection.stale_lines import NOT_STALE, STALE


def leaderboard_table(leaderboard: pd.DataFrame) -> Table:
    """Models side by side, best first, within 100 columns; letters stand for their sources."""
    best = leaderboard.iloc[0]
    letters = _letters(leaderboard["sources"])
    table = _plain_table(f"Leaderboard on {best['rows']:,} {best['split']} rows, with bootstrap 95 % intervals")
    table.caption = "\n".join(f"{letter}: {sources}" for sources, letter in letters.items())
    table.caption_justify = "left"
    table.add_column("\nmodel")
    table.add_column("sour-\nces")
    headings = (
        "SMAPE %\n",
        f"MAE\n{best['currency']}",
        f"RMSE\n{best['currency']}",
        "\nR2",
        "behind the best,\npoints of SMAPE",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in leaderboard.to_dict(orient="records"):
        table.add_row(_name(row), letters.get(row["sources"], ""), *_leaderboard_cells(row))
    return table


def variants_table(leaderboard: pd.DataFrame) -> Table:
    """How variants were trained, and how far each is behind a ridge of the same sources, within 100 columns."""
    table = _plain_table("Variants, each against a ridge of the same sources")
    table.add_column("\nmodel")
    headings = (
        "para-\nmeters",
        "s per\nepoch",
        "epochs\n(best)",
        "\nits ridge",
        "behind it, points of\nSMAPE (negative: better)",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in leaderboard.dropna(subset="parameters").to_dict(orient="records"):
        epochs = f"{row['epochs']:.0f} ({row['best_epoch']:.0f})"  # floats, as a CSV gives columns with gaps
        trained = (_count(int(row["parameters"])), f"{row['seconds_per_epoch']:.2g}", epochs)
        table.add_row(_name(row), *trained, str(row["own_ridge"]), _difference(row, "behind_ridge"))
    return table


def _plain_table(title: str) -> Table:
    box_and_padding: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0)}
    return Table(title=title, title_justify="left", pad_edge=False, show_edge=False, **box_and_padding)


def _letters(sources: pd.Series) -> dict[str, str]:
    """A letter for each set of sources."""
    named = [one for one in dict.fromkeys(sources) if isinstance(one, str) and one]
    return {one: chr(ord("A") + place) for place, one in enumerate(named)}


def _name(row: Mapping[Any, Any]) -> str:
    is_stale = row[STALE] != NOT_STALE and not pd.isna(row[STALE])  # a file gives NaN for an empty cell
    return f"{row['model']} (stale)" if is_stale else str(row["model"])


def _leaderboard_cells(row: Mapping[Any, Any]) -> list[str]:
    return [
        f"{row['smape']:.2f} [{row['smape_low']:.1f}, {row['smape_high']:.1f}]",
        money(row["mae"]),
        money(row["rmse"]),
        f"{row['r2']:.2f}",
        "" if pd.isna(row["reversed"]) else _difference(row, "behind_best"),
    ]


def _difference(row: Mapping[Any, Any], name: str) -> str:
    digits = 2 if abs(row[name]) < 10 else 1
    middle, low, high = (f"{row[f'{name}{end}']:.{digits}f}" for end in ("", "_low", "_high"))
    return f"{middle} [{low}, {high}]"


def _count(number: int) -> str:
    """A count in at most 6 characters."""
    return f"{number:,}" if number < 100_000 else f"{number / 1e6:.3g} M"
