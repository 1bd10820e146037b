"""What nodes found, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from price_fusion.console.leak_tables import leak_report_table
from price_fusion.console.table_form import titled
from price_fusion.data.money import money
from price_fusion.lazy import pd
from price_fusion.metrics.intervals import JUDGED_ROWS


def report_table(kind: str, model: str, data: Any) -> Table | None:
    """The table of an output that has one to itself."""
    if kind == "split_report":
        return split_table(data)
    if kind == "gate_report" and data["experts"]:
        return gate_table(model, data)
    if kind == "members":
        return members_table(data)
    if kind in ("permutation_importance", "retraining_importance"):
        return importance_table(kind.removesuffix("_importance"), model, data)
    return leak_report_table(kind, model, data)


def alignment_tables(reports: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """How the same products and the sources of one or more models fit together.

    Args:
        reports: by model; its name is empty where the report is of all sources in use.
    """
    if len(reports) == 1:
        (report,) = reports.values()
        return [_sources_table(f"{_products_of(report)}, {_kept_of(report)}", report["sources"])]
    sources = {name: counts for report in reports.values() for name, counts in report["sources"].items()}
    return [_sources_table(_products_of(next(iter(reports.values()))), sources), _models_table(reports)]


def _products_of(report: Mapping[str, Any]) -> str:
    return f"Alignment of {report['products']}: {report['rows']:,} products, {report['duplicate_ids']} duplicate ids"


def _kept_of(report: Mapping[str, Any]) -> str:
    """What became of the products of the only report."""
    text = f"{report['rows_kept']:,} kept, {report['rows_in_all_sources']:,} in all sources, {_unknown_of(report)}"
    if report["groups_of_several"] is not None:  # in partitions nobody counts them
        text += f", {report['groups_of_several']:,} groups that share an image or text"
    if report["suspicions"] is not None:
        text += f"; {report['suspicions']} likely mistake(s) reported"
    return text


def _unknown_of(report: Mapping[str, Any]) -> str:
    """How many products no source of embeddings knows; 0 as well where all sources are columns."""
    products = report["rows_in_no_source"]
    return f"{products:,} in no source of embeddings" if products else "0 in none"


def _models_table(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """Which of the same products each model uses."""
    title = f"Models and {next(iter(reports.values()))['products']}"
    table = titled(title, ["model"], ("kept", "in all of its sources", "in no source of embeddings", "likely mistakes"))
    for model, report in reports.items():
        numbers = [report[key] for key in ("rows_kept", "rows_in_all_sources", "rows_in_no_source", "suspicions")]
        # Products to be predicted that are in partitions are not checked for likely mistakes.
        table.add_row(model or "all sources", *("" if number is None else f"{number:,}" for number in numbers))
    return table


def _sources_table(title: str, sources: Mapping[str, Mapping[str, Any]]) -> Table:
    table = titled(title, ["source"], ("embeddings", "matched", "missing", "of other products"))
    table.add_column("missing ids (first)")
    for source, counts in sources.items():
        numbers = [f"{counts[key]:,}" for key in ("rows", "matched", "missing", "extra")]
        table.add_row(source, *numbers, ", ".join(map(str, counts["missing_examples"])))
    return table


def split_table(report: Mapping[str, Any]) -> Table:
    """How many products went where."""
    columns = {
        "rows": "products",
        "groups": "groups",
        "median_price": f"median price, {report['currency']}",
        "mean_price": f"mean price, {report['currency']}",
        "rows_tuned_on": "seen by an encoder",
    }
    table = titled(f"Split of {report['rows']:,} products", ["split"], columns.values())
    for split, counts in report["splits"].items():
        shown = {
            key: money(value) if key.endswith("price") else f"{value:,}"
            for key, value in counts.items()
            if value is not None
        }
        table.add_row(split, *(shown.get(key, "") for key in columns))
    return table


def gate_table(variant: str, report: Mapping[str, Any]) -> Table:
    """How a gate divides its weight among its experts."""
    title = f"Mean gate weights of {variant} ({report['split']} rows)"
    experts = (f"expert {number}" for number in range(1, report["experts"] + 1))
    table = titled(title, [f"true price, {report['currency']}"], ("rows", *experts))
    for part in [*report["by_price"], {"bin": "all", **report}]:
        table.add_row(part["bin"], f"{part['rows']:,}", *(f"{weight:.3f}" for weight in part["mean_weights"]))
    return table


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    """Metrics of the variants that were evaluated."""
    currency = next(row["currency"] for row in metrics.values())  # a run has one
    headings = ("rows", "SMAPE %", f"MAE {currency}", f"RMSE {currency}", "R2")
    table = titled("Metrics", ("model", "split"), headings)
    for name, row in metrics.items():
        errors = (f"{row['smape']:.2f}", money(row["mae"]), money(row["rmse"]))
        table.add_row(name, str(row["split"]), f"{row['rows']:,}", *errors, f"{row['r2']:.3f}")
    return table


def intervals_table(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """How often the intervals of each model hold the true price, and how wide they are."""
    currency = next(summary["currency"] for summary in summaries.values())  # a run has one
    headings = ("level %", "true price inside %", f"mean width {currency}", "worst bin of predicted price")
    table = titled("Price intervals", ("model", "split"), headings)
    for name, summary in summaries.items():
        for level, found in summary["levels"].items():
            deviation = found["largest_deviation"]
            off = (
                f"no bin has {JUDGED_ROWS} rows"
                if deviation is None
                else f"{deviation:+.1f} points, {found['bin']} {currency}"
            )
            table.add_row(name, summary["split"], level, f"{found['coverage']:.1f}", money(found["mean_width"]), off)
    return table


def members_table(members: pd.DataFrame) -> Table:
    """Members of an ensemble and their blend."""
    headings = ("weight", "models", "training s", "out-of-fold SMAPE %", "SMAPE % on reported rows")
    table = titled("Ensemble", ["member"], headings)
    last = len(members) - 1
    for place, row in enumerate(members.to_dict(orient="records")):
        table.add_row(
            str(row["member"]),
            f"{row['weight']:.3f}",
            str(row["models"]),
            f"{row['seconds']:.0f}",
            f"{row['out_of_fold_smape']:.2f}",
            "" if pd.isna(row["smape"]) else f"{row['smape']:.2f}",
            end_section=place == last - 1,
        )
    return table


def importance_table(method: str, model: str, importance: pd.DataFrame) -> Table:
    """What sources are worth to a model, by ``permutation`` or by ``retraining`` without them."""
    headings = ("points", "95 % interval", "resamples reversed %")
    table = titled(f"Sources of {model} by {method}: rise of SMAPE", ["source, column or group"], headings)
    for row in importance.to_dict(orient="records"):
        points, low, high = (row[f"importance_points{end}"] for end in ("", "_low", "_high"))
        cells = [f"{points:+.2f}", f"[{low:+.2f}, {high:+.2f}]", f"{100 * row['reversed']:.1f}"]
        table.add_row(str(row["part"]), *(["", f"skipped: {row['skipped']}", ""] if pd.isna(points) else cells))
    return table
