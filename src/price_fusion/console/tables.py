"""What nodes found, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from price_fusion.data.money import money
from price_fusion.lazy import pd
from price_fusion.metrics.intervals import JUDGED_ROWS
from price_fusion.selection.stale_lines import STALE


def folded(table: Table) -> Table:
    """The table with cells that fold in a narrow terminal: rich's own way cuts 84.52 to 8…, which reads as a figure."""
    for column in table.columns:
        column.overflow = "fold"
    return table


def report_table(kind: str, model: str, data: Any) -> Table | None:
    """The table of an output that has one to itself."""
    if kind.endswith("_alignment_report"):
        return alignment_table(data)
    if kind == "split_report":
        return split_table(data)
    if kind == "gate_report" and data["experts"]:
        return gate_table(model, data)
    if kind == "members":
        return members_table(data)
    if kind in ("permutation_importance", "retraining_importance"):
        return importance_table(kind.removesuffix("_importance"), model, data)
    return _leak_report(kind, model, data)


def _leak_report(kind: str, model: str, data: Any) -> Table | None:
    """The table of an output of the stage ``leaks``."""
    if kind == "leak_report" and any(overlap["products"] for overlap in data["overlaps"]):
        return leaks_table(data)
    if kind == "informed_sources" and any(check["is_suspect"] for check in data["checks"]):
        return informed_sources_table(data)
    if kind == "leak_effect":
        return leak_effect_table(model, data)
    return None


def alignment_table(report: Mapping[str, Any]) -> Table:
    """How products and sources fit together."""
    title = (
        f"Alignment of {report['products']}: {report['rows']:,} products, {report['rows_kept']:,} kept, "
        f"{report['rows_in_all_sources']:,} in all sources, {report['rows_in_no_source']:,} in none; "
        f"{report['duplicate_ids']} duplicate ids"
    )
    if report["groups_of_several"] is not None:  # in buckets nobody counts them
        title += f", {report['groups_of_several']:,} groups that share an image or text"
    if report["suspicions"] is not None:
        title += f"; {report['suspicions']} likely mistake(s) reported"
    table = Table(title=title, title_justify="left")
    for column in ("source", "rows", "matched", "missing", "extra", "missing ids (first)"):
        table.add_column(column, justify="left" if column.startswith(("source", "missing ids")) else "right")
    for source, counts in report["sources"].items():
        numbers = [f"{counts[key]:,}" for key in ("rows", "matched", "missing", "extra")]
        table.add_row(source, *numbers, ", ".join(map(str, counts["missing_examples"])))
    return table


def split_table(report: Mapping[str, Any]) -> Table:
    """How many products went where."""
    table = Table(title=f"Split of {report['rows']:,} products", title_justify="left")
    columns = {
        "rows": "rows",
        "groups": "groups",
        "median_price": f"median {report['currency']}",
        "mean_price": f"mean {report['currency']}",
        "rows_tuned_on": "rows tuned on",
    }
    table.add_column("split")
    for heading in columns.values():
        table.add_column(heading, justify="right")
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
    table = Table(title=f"Mean gate weights of {variant} ({report['split']} rows)", title_justify="left")
    table.add_column(f"true price, {report['currency']}")
    table.add_column("rows", justify="right")
    for number in range(1, report["experts"] + 1):
        table.add_column(f"expert {number}", justify="right")
    for part in [*report["by_price"], {"bin": "all", **report}]:
        table.add_row(part["bin"], f"{part['rows']:,}", *(f"{weight:.3f}" for weight in part["mean_weights"]))
    return table


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    """Metrics of the variants that were evaluated."""
    table = Table(title="Metrics", title_justify="left")
    table.add_column("model")
    table.add_column("split")
    currency = next(row["currency"] for row in metrics.values())  # a run has one
    headings = {"rows": "rows", "smape": "SMAPE %", "mae": f"MAE {currency}", "rmse": f"RMSE {currency}", "r2": "R2"}
    for heading in headings.values():
        table.add_column(heading, justify="right")
    for name, row in metrics.items():
        errors = (f"{row['smape']:.2f}", money(row["mae"]), money(row["rmse"]))
        table.add_row(name, str(row["split"]), f"{row['rows']:,}", *errors, f"{row['r2']:.3f}")
    return table


def intervals_table(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """How often the intervals of each model hold the true price, and how wide they are."""
    table = Table(title="Price intervals", title_justify="left")
    table.add_column("model")
    table.add_column("split")
    currency = next(summary["currency"] for summary in summaries.values())  # a run has one
    headings = ("level %", "true price inside %", f"mean width {currency}", "worst bin of predicted price")
    for heading in headings:
        table.add_column(heading, justify="right")
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
    table = Table(title="Ensemble", title_justify="left")
    table.add_column("member")
    for heading in ("weight", "models", "training s", "out-of-fold SMAPE %", "SMAPE % on reported rows"):
        table.add_column(heading, justify="right")
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
    table = Table(title=f"Sources of {model} by {method}: rise of SMAPE", title_justify="left")
    table.add_column("source, column or group")
    for heading in ("points", "95 % interval", "resamples reversed %"):
        table.add_column(heading, justify="right")
    for row in importance.to_dict(orient="records"):
        points, low, high = (row[f"importance_points{end}"] for end in ("", "_low", "_high"))
        cells = [f"{points:+.2f}", f"[{low:+.2f}, {high:+.2f}]", f"{100 * row['reversed']:.1f}"]
        table.add_row(str(row["part"]), *(["", f"skipped: {row['skipped']}", ""] if pd.isna(points) else cells))
    return table


def leaks_table(report: Mapping[str, Any]) -> Table:
    """Duplicates across splits; only what was found."""
    found = [overlap for overlap in report["overlaps"] if overlap["products"]]
    left_out = ", ".join(f"{source} {count:,}" for source, count in report["left_out"].items() if count)
    table = Table(
        title=f"Duplicates across splits: {len(found)} of {len(report['overlaps'])} comparisons found some"
        + (f"; embeddings that are common to many were left out: {left_out}" if left_out else ""),
        title_justify="left",
    )
    for column in ("the same", "of", "among", "products", "%", "ids (first)"):
        table.add_column(column, justify="right" if column in ("products", "%") else "left")
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
    table = Table(
        title=f"Sources that may leak prices: {len(suspects)} of {len(report['checks'])} checks on {report['rows']:,} products",
        title_justify="left",
    )
    for column in ("source", "check", "where", "products", "SMAPE points", "p"):
        table.add_column(column, justify="right" if column in ("products", "SMAPE points", "p") else "left")
    for check in suspects:
        p_value = "" if check["p_value"] is None else f"{check['p_value']:.1g}"
        counts = (f"{check['products']:,}", f"{check['effect_points']:+.1f}", p_value)
        table.add_row(check["source"], check["check"], check["where"], *counts)
    return table


def leak_effect_table(model: str, effect: Mapping[str, Any]) -> Table:
    """What duplicates across splits do to a model's SMAPE."""
    table = Table(
        title=f"Leaks and the SMAPE of {model}: {effect['smape']:.2f} % on {effect['rows']:,} {effect['split']} rows",
        title_justify="left",
    )
    table.add_column("the same as of a row that was learnt from")
    for heading in ("products", "their SMAPE %", "of the others %", "without them, points"):
        table.add_column(heading, justify="right")
    for kind, row in effect["by_kind"].items():
        figures = ["" if row[key] is None else f"{row[key]:.2f}" for key in ("smape", "smape_of_others")]
        ends = [row[f"raised_points{end}"] for end in ("", "_low", "_high")]
        rise = "" if ends[0] is None else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*ends)
        table.add_row(kind, f"{row['products']:,}", *figures, rise)
    return table


def leaderboard_table(leaderboard: pd.DataFrame) -> Table:
    """Models side by side, best first, within 100 columns; letters stand for their sources."""
    best = leaderboard.iloc[0]
    letters = _letters(leaderboard["sources"])
    table = _plain_table(f"Leaderboard on {best['rows']:,} {best['split']} rows, with bootstrap 95 % intervals")
    table.caption = "\n".join(f"{letter}: {sources}" for sources, letter in letters.items())
    table.caption_justify = "left"
    table.add_column("\nmodel")
    table.add_column("sour-\nces")
    headings = (
        "SMAPE %\n",
        f"MAE\n{best['currency']}",
        f"RMSE\n{best['currency']}",
        "\nR2",
        "behind the best,\npoints of SMAPE",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in leaderboard.to_dict(orient="records"):
        table.add_row(_name(row), letters.get(row["sources"], ""), *_leaderboard_cells(row))
    return table


def variants_table(leaderboard: pd.DataFrame) -> Table:
    """How variants were trained, and how far each is behind a ridge of the same sources, within 100 columns."""
    table = _plain_table("Variants, each against a ridge of the same sources")
    table.add_column("\nmodel")
    headings = (
        "para-\nmeters",
        "s per\nepoch",
        "epochs\n(best)",
        "\nits ridge",
        "behind it, points of\nSMAPE (negative: better)",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in leaderboard.dropna(subset="parameters").to_dict(orient="records"):
        epochs = f"{row['epochs']:.0f} ({row['best_epoch']:.0f})"  # floats, as a CSV gives columns with gaps
        trained = (_count(int(row["parameters"])), f"{row['seconds_per_epoch']:.2g}", epochs)
        table.add_row(_name(row), *trained, str(row["own_ridge"]), _difference(row, "behind_ridge"))
    return table


def _plain_table(title: str) -> Table:
    box_and_padding: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0)}
    return Table(title=title, title_justify="left", pad_edge=False, show_edge=False, **box_and_padding)


def _letters(sources: pd.Series) -> dict[str, str]:
    """A letter for each set of sources."""
    named = [one for one in dict.fromkeys(sources) if isinstance(one, str) and one]
    return {one: chr(ord("A") + place) for place, one in enumerate(named)}


def _name(row: Mapping[Any, Any]) -> str:
    return f"{row['model']} (stale)" if row[STALE] else str(row["model"])


def _leaderboard_cells(row: Mapping[Any, Any]) -> list[str]:
    return [
        f"{row['smape']:.2f} [{row['smape_low']:.1f}, {row['smape_high']:.1f}]",
        money(row["mae"]),
        money(row["rmse"]),
        f"{row['r2']:.2f}",
        "" if pd.isna(row["reversed"]) else _difference(row, "behind_best"),
    ]


def _difference(row: Mapping[Any, Any], name: str) -> str:
    digits = 2 if abs(row[name]) < 10 else 1
    middle, low, high = (f"{row[f'{name}{end}']:.{digits}f}" for end in ("", "_low", "_high"))
    return f"{middle} [{low}, {high}]"


def _count(number: int) -> str:
    """A count in at most 6 characters."""
    return f"{number:,}" if number < 100_000 else f"{number / 1e6:.3g} M"
