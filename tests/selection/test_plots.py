"""Figures: all that is measured is there, with names and units, and nothing covers anything else."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from price_fusion.selection.plots import AXIS_TITLE, LABEL_LENGTH, importance_figure


def permutation(rows: int) -> pd.DataFrame:
    values = np.linspace(12, -1, rows)
    return pd.DataFrame(
        {
            "variant": "two_branch",
            "part": [f"words: column_{number}" if number % 3 else f"words_{number}" for number in range(rows)],
            "kind": ["column" if number % 3 else "source" for number in range(rows)],
            "split": "holdout",
            "rows": 1_295,
            "smape": 65.755,
            "importance_points": values,
            "importance_points_low": values - 0.5,
            "importance_points_high": values + 0.7,
        }
    )


def retraining(rows: int, skipped: int = 0) -> pd.DataFrame:
    table = permutation(rows).assign(kind="group", skipped=None)
    reason = "fusion 'attention' needs at least two sources: use 'concat', or name another source"
    last = table.index[rows - skipped :]
    table.loc[last, ["importance_points", "importance_points_low", "importance_points_high", "rows"]] = np.nan
    return table.assign(skipped=np.where(table.index.isin(last), reason, None))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize(("rows", "others", "skipped"), [(1, 1, 0), (1, 1, 1), (20, 5, 2), (30, 30, 0), (30, 2, 2)])
def test_each_row_has_its_name_and_its_number_or_its_reason(rows: int, others: int, skipped: int) -> None:
    tables = permutation(rows), retraining(others, skipped)
    figure = importance_figure(*tables)
    FigureCanvasAgg(figure).draw()
    for axes, table in zip(figure.axes, tables, strict=True):
        assert [label.get_text() for label in axes.get_yticklabels()] == table["part"].tolist()
        assert len(axes.patches) == table["importance_points"].notna().sum()
        assert (axes.get_xlabel() == AXIS_TITLE) == table["importance_points"].notna().any()
        bottom, top = axes.get_ylim()
        assert bottom > top  # the first row is on top
    assert "points" in AXIS_TITLE
    assert "+12.00 [+11.50, +12.70]" in texts(figure)
    assert sum(text.startswith("skipped: fusion 'attention'") for text in texts(figure)) == skipped
    assert figure.axes[0].get_title("left") == "Permuted on the holdout: 1,295 products, SMAPE 65.75 %"


@pytest.mark.parametrize(("rows", "others"), [(1, 1), (30, 4)])
def test_nothing_covers_anything_else_or_leaves_the_page(rows: int, others: int) -> None:
    figure = importance_figure(permutation(rows), retraining(others, skipped=1 if others > 1 else 0))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    artists = [*figure.texts, *figure.legends]
    for axes in figure.axes:
        artists += [axes.title, axes._left_title, axes.xaxis.label, *axes.get_yticklabels(), *axes.texts]
    boxes = {
        artist: artist.get_window_extent(canvas.get_renderer())
        for artist in artists
        if not hasattr(artist, "get_text") or artist.get_text()
    }
    page = figure.bbox
    for box in boxes.values():
        assert box.x0 >= page.x0
        assert box.x1 <= page.x1
        assert box.y0 >= page.y0
        assert box.y1 <= page.y1
    for first, second in itertools.combinations(boxes, 2):
        assert not boxes[first].padded(-1).overlaps(boxes[second].padded(-1)), (first, second)


def test_a_page_grows_with_its_rows_and_names_are_kept_short() -> None:
    small, large = (importance_figure(permutation(rows), retraining(3)) for rows in (1, 30))
    assert large.get_figheight() - small.get_figheight() == pytest.approx(29 * 0.27)
    long = permutation(2).assign(part=["a_source_" * 10, "b"])
    label = importance_figure(long, retraining(1)).axes[0].get_yticklabels()[0].get_text()
    assert len(label) <= LABEL_LENGTH
    assert label.startswith("a_source_")
    assert "…" in label


def test_drawing_needs_no_state_of_pyplot(modules_after: Callable[[str], set[str]]) -> None:
    assert "matplotlib" in sys.modules
    statement = "import sys; import price_fusion.selection.plots; assert 'matplotlib.pyplot' not in sys.modules"
    assert "matplotlib" in modules_after(statement)
    for module in ("price_fusion.metrics.price_metrics", "price_fusion.pipelines.ablation"):
        assert not {"matplotlib", "torch"} & modules_after(f"import {module}")
