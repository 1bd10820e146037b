"""What is known of the data, as tables of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from price_fusion.data.checks.suspicions import Suspicion
from price_fusion.report.page import Section, Table

SHOWN = 5
"""Ids that a cell spells out."""


def split_table(report: Mapping[str, Any], currency: str) -> Table:
    """How many products went where, and their prices in that currency."""
    columns = {
        "rows": "products",
        "groups": "groups",
        "median_price": f"median price, {currency}",
        "mean_price": f"mean price, {currency}",
        "rows_tuned_on": "seen by an encoder",
    }
    rows = [[split, *(counts[key] for key in columns)] for split, counts in report["splits"].items()]
    return Table(
        f"Split of {report['rows']:,} products",
        ("split", *columns.values()),
        rows,
        "Products that share an image or a text are one group and on one side.",
    )


def alignment_table(report: Mapping[str, Any]) -> Table:
    """How products and sources fit together."""
    names = ("rows", "matched", "missing", "extra")
    rows = [
        [source, *(counts[name] for name in names), ", ".join(map(str, counts["missing_examples"][:SHOWN]))]
        for source, counts in report["sources"].items()
    ]
    return Table(
        f"Alignment: {report['rows_kept']:,} of {report['rows']:,} labelled products kept, "
        f"{report['rows_in_all_sources']:,} of them in all sources",
        ("source", "embeddings", "matched", "missing", "of other products", "missing ids (first)"),
        rows,
        "Embeddings of other products are not used here: products to be predicted in the same file, or some that you do not list.",
    )


def suspicions(checks: Mapping[str, Any]) -> list[str]:
    """Likely mistakes in the inputs, a sentence each."""
    return [str(Suspicion(**one)) for one in checks["suspicions"]]


def overlaps_table(report: Mapping[str, Any]) -> Table:
    """Duplicates across splits; only what was found."""
    found = [overlap for overlap in report["overlaps"] if overlap["products"]]
    rows = [
        [
            f"{overlap['kind']} {overlap['source']}".strip(),
            overlap["of"],
            overlap["among"],
            overlap["products"],
            100 * overlap["products"] / overlap["rows"],
            ", ".join(map(str, overlap["examples"])),
        ]
        for overlap in found
    ]
    title = f"Leaks: duplicates across splits ({len(found)} of {len(report['overlaps'])} comparisons found some)"
    return Table(title, ("the same", "of", "among", "products", "%", "ids (first)"), rows)


def informed_sources_table(report: Mapping[str, Any]) -> Table:
    """Whether sources leak prices; only what is suspicious."""
    suspects = [check for check in report["checks"] if check["is_suspect"]]
    rows = [
        [check["source"], check["check"], check["where"], check["products"], check["effect_points"]]
        for check in suspects
    ]
    title = f"Leaks: sources that may leak prices ({len(suspects)} of {len(report['checks'])} checks are suspicious)"
    return Table(title, ("source", "check", "where", "products", "SMAPE, points"), rows)


def data_section(
    split: Mapping[str, Any],
    alignment: Mapping[str, Any],
    checks: Mapping[str, Any],
    overlaps: Mapping[str, Any] | None,
    informed_sources: Mapping[str, Any] | None,
    currency: str,
) -> Section:
    """All that is known of the data.

    Args:
        split: report of the split.
        alignment: report of the alignment.
        checks: likely mistakes in the inputs.
        overlaps: the leak report; None: leaks have not been checked.
        informed_sources: the report of sources that may leak prices, likewise.
        currency: of the prices.
    """
    tables = [split_table(split, currency), alignment_table(alignment)]
    if overlaps is not None:
        tables.append(overlaps_table(overlaps))
    if informed_sources is not None:
        tables.append(informed_sources_table(informed_sources))
    looked = overlaps is not None and informed_sources is not None
    text = [] if looked else ["Leaks have not been checked: kedro run --pipelines check_leaks does."]
    return Section("Data", text=text, warnings=suspicions(checks), tables=tables)
