"""What the stage ``leaks`` found, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from price_fusion.console.table_form import titled


def leak_report_table(kind: str, model: str, data: Any) -> Table | None:
    """The table of an output of the stage ``leaks``, if it found something."""
    if kind == "leak_report" and any(overlap["products"] for overlap in data["overlaps"]):
        return leaks_table(data)
    if kind == "informed_sources" and any(check["is_suspect"] for check in data["checks"]):
        return informed_sources_table(data)
    if kind == "leak_effect":
        return leak_effect_table(model, data)
    return None


def leaks_table(report: Mapping[str, Any]) -> Table:
    """Duplicates across splits; only what was found."""
    found = [overlap for overlap in report["overlaps"] if overlap["products"]]
    left_out = ", ".join(f"{source} {count:,}" for source, count in report["left_out"].items() if count)
    title = f"Duplicates across splits: {len(found)} of {len(report['overlaps'])} comparisons found some"
    more = f"; embeddings that are common to many were left out: {left_out}" if left_out else ""
    table = titled(f"{title}{more}", ("the same", "of", "among"), ("products", "%"))
    table.add_column("ids (first)")
    for overlap in found:
        share = f"{100 * overlap['products'] / overlap['rows']:.1f}"
        kind = f"{overlap['kind']} {overlap['source']}".strip()
        table.add_row(
            kind, overlap["of"], overlap["among"], f"{overlap['products']:,}", share, ", ".join(overlap["examples"])
        )
    return table


def informed_sources_table(report: Mapping[str, Any]) -> Table:
    """Whether sources leak prices; only what is suspicious."""
    suspects = [check for check in report["checks"] if check["is_suspect"]]
    title = f"Sources that may leak prices: {len(suspects)} of {len(report['checks'])} checks on {report['rows']:,} products"
    table = titled(title, ("source", "check", "where"), ("products", "SMAPE points", "p"))
    for check in suspects:
        p_value = "" if check["p_value"] is None else f"{check['p_value']:.1g}"
        counts = (f"{check['products']:,}", f"{check['effect_points']:+.1f}", p_value)
        table.add_row(check["source"], check["check"], check["where"], *counts)
    return table


def leak_effect_table(model: str, effect: Mapping[str, Any]) -> Table:
    """What duplicates across splits do to a model's SMAPE."""
    title = f"Leaks and the SMAPE of {model}: {effect['smape']:.2f} % on {effect['rows']:,} {effect['split']} rows"
    headings = ("products", "their SMAPE %", "of the others %", "without them, points")
    table = titled(title, ["the same as of a row that was learnt from"], headings)
    for kind, row in effect["by_kind"].items():
        figures = ["" if row[key] is None else f"{row[key]:.2f}" for key in ("smape", "smape_of_others")]
        ends = [row[f"raised_points{end}"] for end in ("", "_low", "_high")]
        rise = "" if ends[0] is None else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*ends)
        table.add_row(kind, f"{row['products']:,}", *figures, rise)
    return table
