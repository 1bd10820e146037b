"""Tables in narrow terminals."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from price_fusion.console.tables import folded, metrics_table

METRICS = {
    "four_branch": {
        "split": "validation",
        "rows": 12345,
        "currency": "EUR",
        "smape": 61.25,
        "mae": 7.75,
        "rmse": 1234.5,
        "r2": -0.125,
    }
}


@pytest.mark.parametrize("width", [36, 50, 120])
def test_no_figure_is_cut(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    console.print(folded(metrics_table(METRICS)))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "…" not in shown
    rows = [line.split("│")[1:-1] for line in shown.splitlines() if line.startswith("│")]
    cells = ["".join(part.strip() for part in column) for column in zip(*rows, strict=True)]
    assert cells == ["four_branch", "validation", "12,345", "61.25", "7.75", "1,234.50", "-0.125"]
