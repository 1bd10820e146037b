"""Tables in narrow terminals."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from price_fusion.console.table_form import folded
from price_fusion.console.tables import alignment_tables, metrics_table, split_table
from price_fusion.report import data_tables as page_tables

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


def test_models_of_the_same_products_share_a_table_of_sources() -> None:
    def report(kept: int, *sources: str) -> dict[str, Any]:
        of_source = {"rows": 9, "matched": 8, "missing": 1, "extra": 1, "missing_examples": [7]}
        return {
            "products": "train_products",
            "rows": 9,
            "rows_kept": kept,
            "rows_in_all_sources": 7,
            "rows_in_no_source": 1,
            "duplicate_ids": 0,
            "groups_of_several": 2,
            "suspicions": 3,
            "sources": dict.fromkeys(sources, of_source),
        }

    (alone,) = alignment_tables({"moe": report(8, "picture", "words")})
    assert alone.row_count == 2
    assert "9 products" in str(alone.title)
    assert "8 kept, 7 in all sources, 1 in no source of embeddings" in str(alone.title)
    sources, models = alignment_tables({"moe": report(8, "picture", "words"), "plain": report(6, "words")})
    assert list(sources.columns[0].cells) == ["picture", "words"]
    assert list(models.columns[0].cells) == ["moe", "plain"]
    of_page = page_tables.alignment_table(report(8, "words"))
    assert [column.header for column in sources.columns] == list(of_page.columns)

    assert list(models.columns[1].cells) == ["8", "6"]
    assert list(models.columns[4].cells) == ["3", "3"]
    unchecked = report(9, "words") | {"suspicions": None, "groups_of_several": None}  # to be predicted, in partitions
    assert list(alignment_tables({"moe": unchecked, "plain": unchecked})[1].columns[4].cells) == ["", ""]


def test_columns_of_a_split_are_called_as_on_the_page() -> None:
    counts = {"rows": 9, "groups": 8, "median_price": 1.0, "mean_price": 2.0, "rows_tuned_on": 3}
    report = {"rows": 9, "currency": "EUR", "splits": {"train": counts}}
    columns = page_tables.split_table(report, "EUR").columns
    assert [column.header for column in split_table(report).columns] == list(columns)
