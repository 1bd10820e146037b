"""A page stands alone, and nothing in it can be anything but text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import math
import re
from html.parser import HTMLParser

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from price_fusion.command_options import CommandOptions
from price_fusion.report.described import described, empty
from price_fusion.report.page import (
    Headline,
    Product,
    Section,
    Table,
    UnitPrices,
    render,
)

ATTACK = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'


class Elements(HTMLParser):
    """Collects start tags with their attributes, and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
            self._in_script = True

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def figure(text: str) -> go.Figure:
    return described(go.Figure(go.Bar(x=[text], y=[1])), title=text, caption=text, alt=text, table={text: [text]})


def page(text: str) -> str:
    product = Product(text, 3.0, 4.0, 28.6, (1.0, 9.0), UnitPrices(text, 0.6, 0.8), text, None, None)
    section = Section(
        "Part one",
        text=[text],
        warnings=[text],
        figures=[figure(text), empty("gone", "there is none")],
        tables=[Table(text, (text, "number"), [(text, 1234.5), (text, None)]), Table("nothing", ("a",), [])],
        products={text: [product]},
        links=[(text, "moe/report.html")],
    )
    return render(text, text, "USD", [Headline(text, text, text)], [section], CommandOptions())


def test_text_of_others_stays_text() -> None:
    innocent, attacked = Elements(page("harmless")), Elements(page(ATTACK))
    assert [tag for tag, _ in attacked.tags] == [tag for tag, _ in innocent.tags]
    assert not any(name.startswith("on") for _, attributes in attacked.tags for name in attributes)


def test_commands_have_the_options_that_they_need() -> None:
    said = "Next: kedro run --pipelines compare"
    section = Section("Part", text=[said], warnings=[said], tables=[Table("one", ("a",), [("kedro run",)], said)])
    text = render("t", "s", "USD", [], [section], CommandOptions("my shop", 4))
    command = "kedro run --env &#39;my shop&#39; --params compute.partitions=4 --pipelines compare"
    assert text.count(f"Next: {command}</p>") == 3
    assert ">kedro run</th>" in text  # what is in tables may be of others


def test_only_our_own_scripts_may_run() -> None:
    text = page(ATTACK)
    found = Elements(text)
    policy = next(a["content"] for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    pins = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in (found.scripts[-1], get_plotlyjs())]
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{pins[0]}' 'sha256-{pins[1]}'"
    )
    kinds = [attributes.get("type") for tag, attributes in found.tags if tag == "script"]
    assert kinds == ["application/json", "application/octet-stream", None]


def test_plotly_is_in_the_page() -> None:
    packed = Elements(page("text")).scripts[-2]
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()


def test_nothing_is_asked_for_from_outside() -> None:
    found = Elements(page("text"))
    addresses = [value for _, attributes in found.tags for name, value in attributes.items() if name in ("src", "href")]
    assert addresses == ["#contents", "#part-one", "moe/report.html"]


def test_numbers_and_gaps_in_tables() -> None:
    text = page("text")
    assert '<td class="number">1,234.50</td>' in text
    assert '<td class="number"></td>' in text
    assert "<p>nothing: none.</p>" in text


def test_amounts_alone_are_shown_as_money() -> None:
    row = ("weights", 1e-12, 0.5, 250_000.5, 250_000.5, math.nan)
    table = Table("one", ("name", "p value", "price, USD", "ratio", "RMSE, USD", "R2"), [row])
    text = render("t", "s", "USD", [], [Section("Part", tables=[table])], CommandOptions())
    cells = re.findall(r'<td class="number">(.*?)</td>', text)
    assert cells == ["1e-12", "0.500", "250,000.50", "250,000", "nan"]


def test_figures_have_texts_and_empty_ones_are_left_out() -> None:
    text = page("what it shows")
    assert len(re.findall(r'role="img"', text)) == 1
    assert 'aria-label="what it shows. what it shows"' in text
    assert "there is none" not in text
