"""The last line of a run: what to do next with what it made."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from price_fusion.runs.summary import RunSummary

REPORT, PRICES = "data/08_reporting/moe/report.html", "data/07_model_output/moe/test_out.csv"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"moe.report": REPORT}, f"Next: open {REPORT} in a browser."),
        ({"moe.predictions": PRICES}, f"Next: the prices are in {PRICES}."),
        (
            {"moe.predictions": PRICES, "moe.report": REPORT},
            f"Next: open {REPORT} in a browser; the prices are in {PRICES}.",
        ),
        (
            {"ensemble.report": REPORT, "ensemble.ordered_predictions": PRICES},
            f"Next: open {REPORT} in a browser; the prices are in {PRICES}.",
        ),
        ({"moe.metrics": "data/metrics.json"}, ""),
    ],
)
def test_names_the_report_and_the_prices(made: dict[str, str], said: str) -> None:
    summary, console = RunSummary(), Console(file=io.StringIO(), width=40)
    for name, path in made.items():
        summary.add_path(name, Path(path))
    summary.print(console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().strip() == said
