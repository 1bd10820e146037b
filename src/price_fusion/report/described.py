"""Plotly figures that carry a caption, a text for those who cannot see them, and their numbers as a table.

These travel in ``layout.meta``, so that a figure loaded from the catalog is as complete as one that was just drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

BLUE, VERMILLION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F7F7F"
"""Of M. Okabe and K. Ito, *Color Universal Design*, 2008: colour-blind readers tell them apart. Those with a contrast of
3 to 1 at least on white and on the dark page."""
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, GREY)
HEIGHT = 380
"""Of a figure, pixels."""


def described(
    figure: go.Figure, *, title: str, caption: str, alt: str, table: Mapping[str, Sequence[Any]], height: int = HEIGHT
) -> go.Figure:
    """The figure with what its reader needs.

    Args:
        figure: to be laid out.
        title: what it shows.
        caption: what to look at.
        alt: its main finding in words and numbers.
        table: its numbers, (N,) values by heading with unit.
        height: in pixels.
    """
    rows = [list(map(_plain, row)) for row in zip(*table.values(), strict=True)]
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "paper", "font": {"size": 15}},
        meta={"title": title, "caption": caption, "alt": alt, "columns": list(table), "rows": rows},
        height=height,
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
        template="none",
        colorway=list(COLOURS),
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        dragmode=False,
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(automargin=True, gridcolor="rgba(128,128,128,0.25)", zeroline=False)
    figure.update_yaxes(automargin=True, gridcolor="rgba(128,128,128,0.25)", zeroline=False)
    return figure


def error_bars(above: Any, below: Any) -> dict[str, Any]:
    """How far intervals of N points reach to either side."""
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below}


def empty(title: str, reason: str) -> go.Figure:
    """A figure of something that this model does not have; pages leave it out."""
    figure = go.Figure()
    figure.add_annotation(text=reason, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    described(figure, title=title, caption=reason, alt=reason, table={})
    figure.layout.meta = figure.layout.meta | {"empty": True}
    return figure


def is_empty(figure: go.Figure) -> bool:
    """Whether it is one of ``empty``."""
    return bool((figure.layout.meta or {}).get("empty"))


def _plain(value: Any) -> Any:
    """As JSON can hold it: None for what is missing."""
    number = value.item() if hasattr(value, "item") else value
    return None if isinstance(number, float) and number != number else number
