"""One HTML file with all that it needs: text, tables, figures, and plotly to draw them. It asks for nothing from outside.

plotly is 4.8 MB of script; compressed it is 1.5 MB, and the browser unpacks it. What may run is pinned by digests in the
page's content security policy: our own few lines and plotly, and nothing that a product's text could bring.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from price_fusion.command_options import CommandOptions
from price_fusion.data.money import money
from price_fusion.report.described import is_empty

COMPRESSION = 6
"""Of gzip: a higher level takes a second more and saves 1 %."""
COMMAND = "kedro run "


@dataclass(frozen=True)
class Table:
    """Rows under headings; numbers are right-aligned.

    Attributes:
        caption: what it shows.
        columns: headings, with units; amounts of money under headings that end with the currency: ``price, EUR``.
        rows: a value per heading; None is an empty cell.
        note: what to know of it.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


class UnitPrices(NamedTuple):
    """What a unit of a product costs."""

    unit: str
    true: float
    predicted: float


@dataclass(frozen=True)
class Product:
    """One product among the best or worst."""

    sample_id: str
    price: float
    predicted: float
    smape: float
    interval: tuple[float, float] | None
    unit_prices: UnitPrices | None
    """None where the amount is unknown."""
    text: str
    link: str | None
    """Of its picture, if that is on the web."""
    picture: str | None
    """As a data URI, if it is at hand."""


@dataclass(frozen=True)
class Section:
    """A part of a page with an entry in its table of contents.

    Attributes:
        title: its heading.
        text: paragraphs before all else.
        warnings: what a reader must not overlook.
        figures: drawn in this order; empty ones are left out.
        tables: after the figures.
        products: by the heading of each list.
        links: text and relative path.
    """

    title: str
    text: Sequence[str] = ()
    warnings: Sequence[str] = ()
    figures: Sequence[go.Figure] = ()
    tables: Sequence[Table] = ()
    products: Mapping[str, Sequence[Product]] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())

    @property
    def drawn(self) -> list[go.Figure]:
        """The figures that show something."""
        return [figure for figure in self.figures if not is_empty(figure)]


@dataclass(frozen=True)
class Headline:
    """A number that is read first."""

    name: str
    value: str
    note: str


def render(
    title: str,
    subtitle: str,
    currency: str,
    headlines: Sequence[Headline],
    sections: Sequence[Section],
    options: CommandOptions,
) -> str:
    """The page as HTML.

    Args:
        title: of the page.
        subtitle: what it is of.
        currency: of the prices.
        headlines: the numbers on top.
        sections: in their order; those without contents are left out.
        options: that the commands in texts, warnings and notes need.
    """
    script = _text("page.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            subtitle=subtitle,
            currency=currency,
            headlines=headlines,
            sections=sections,
            options=options,
            style=Markup(_text("page.css")),  # noqa: S704 - a file of this package
            script=Markup(script),  # noqa: S704 - likewise
            plotly=_packed_plotly(),
            scripts=f"'{_pin(script)}' '{_pin(get_plotlyjs())}'",
            drawing=_drawing,
        )
    )


def _drawing(figure: go.Figure) -> Markup:
    """A figure as JSON that cannot end the element that it stands in."""
    document = json.loads(figure.to_json())
    document["layout"].pop("meta", None)
    document["layout"].pop("title", None)
    text = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 - no character of it can begin a tag


@cache
def _environment() -> Environment:
    loader = PackageLoader("price_fusion.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"cell": _cell, "numeric": _numeric, "money": money}
    return environment


def _numeric(table: Table | Mapping[str, Any]) -> list[bool]:
    """Whether each column but the first, which names the row, holds numbers."""
    rows = table["rows"] if isinstance(table, Mapping) else table.rows
    columns = list(zip(*rows, strict=True))
    return [False] + [any(isinstance(value, int | float) for value in column) for column in columns[1:]]


@pass_context
def _cell(context: Context, value: Any, heading: str = "") -> str:
    """A value as text; floats under a heading that ends with the currency are amounts of money."""
    if value is None:
        return ""
    if isinstance(value, float):
        if heading.endswith(f", {context['currency']}"):
            return money(value)
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@cache
def _packed_plotly() -> str:
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), COMPRESSION, mtime=0)).decode()


@cache
def _text(name: str) -> str:
    return (files("price_fusion.report") / "templates" / name).read_text(encoding="utf-8")


def _pin(script: str) -> str:
    """As a content security policy names a script by its contents."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
