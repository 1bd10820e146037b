"""The card that goes with a model: what it is for, what it was made from, how good it is, and where not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from price_fusion.data.money import money
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import ModelCardParameters
from price_fusion.prediction.ensemble import Ensemble
from price_fusion.report.who_predicts import sample_in_words, who_predicts
from price_fusion.version import __version__

FEWEST_ROWS = 30
"""Products of a group below which its figures are called uncertain."""
BAD_SMAPE = 1.5
"""Times the SMAPE of all products, from which on a group is called bad."""
NOT_STATED = "not stated"
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|])")


def model_card(
    model: Checkpoint | Ensemble,
    metrics: Mapping[str, Any],
    by_price: pd.DataFrame,
    coverage: pd.DataFrame,
    split: Mapping[str, Any],
    alignment: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    about: ModelCardParameters,
    path: str,
    *,
    final_fit: bool,
) -> str:
    """The card in Markdown.

    Args:
        model: a variant's checkpoint, or an ensemble.
        metrics: as ``summarise`` gives them.
        by_price: as ``metrics_by_price`` gives it.
        coverage: as ``measure_intervals`` gives it.
        split: the report of the split.
        alignment: the report of the alignment.
        history: one record per epoch; none of an ensemble.
        about: what only its owner knows.
        path: of the model that predicts new products, for the example.
        final_fit: whether that is a final fit.
    """
    groups = by_price[(by_price["grouping"] == "bin") & (by_price["rows"] > 0)].to_dict(orient="records")
    environment = Environment(
        loader=PackageLoader("price_fusion.report"),
        autoescape=False,  # noqa: S701 - Markdown; what others wrote is escaped below
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        lstrip_blocks=True,
    )
    stated = {name: value and escaped(value) for name, value in about.model_dump().items()}
    optional = ("intended_use", "notes")
    return environment.get_template("model_card.md").render(
        name=model.name,
        currency=model.currency,
        version=__version__,
        rows=f"{metrics['rows']:,}",
        split=metrics["split"],
        about={name: value or ("" if name in optional else NOT_STATED) for name, value in stated.items()},
        metrics={
            "smape": _figure(metrics["smape"]),
            "mae": money(metrics["mae"]),
            "rmse": money(metrics["rmse"]),
            "r2": _figure(metrics["r2"]),
        },
        intervals=[
            {"level": f"{row['level']:g}", "coverage": f"{row['coverage']:.1f}", "width": money(row["mean_width"])}
            for row in coverage[coverage["group"] == "all"].to_dict(orient="records")
        ],
        median_price=money(model.median_price),
        making=[
            *_making(model, history),
            who_predicts(model, alignment["rows_kept"], final_fit=final_fit),
            *_of_a_sample(split),
        ],
        data={"rows": f"{alignment['rows_kept']:,}", "complete": f"{alignment['rows_in_all_sources']:,}"},
        splits=[
            {
                "name": name,
                "rows": f"{counts['rows']:,}",
                "groups": f"{counts['groups']:,}",
                "median": money(counts["median_price"]),
                "mean": money(counts["mean_price"]),
            }
            for name, counts in split["splits"].items()
            if counts["rows"]
        ],
        seen=metrics["by_tuning"]["seen"]["rows"],
        sources=[
            {"name": name, "rows": f"{counts['rows']:,}", "missing": f"{counts['missing']:,}"}
            for name, counts in alignment["sources"].items()
            if name in model.data
        ],
        fingerprints=sorted(model.data.items()),
        groups=[
            {
                "name": group["group"],
                "rows": f"{group['rows']:,}",
                "smape": _figure(group["smape"]),
                "bias": f"{_bias(group):+.1f}",
            }
            for group in groups
        ],
        limits=_limits(metrics, groups, model.currency, has_intervals=not coverage.empty),
        path=path,
    )


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _making(model: Checkpoint | Ensemble, history: Sequence[Mapping[str, Any]]) -> list[str]:
    if isinstance(model, Ensemble):
        members = ", ".join(f"{member.name} {member.weight:.2f}" for member in model.members)
        return [f"An ensemble; weights, fitted on out-of-fold prices: {members}."]
    header = model.header
    total = header.parameter_counts.get("total")
    lines = [
        f"Fusion `{header.model.fusion.kind}`, head `{header.model.head.kind}`, of the sources {', '.join(header.sources)}"
        + (f"; {total:,} trained parameters." if total else ".")
    ]
    if header.train is not None:
        train = header.train
        lines.append(
            f"Loss `{train.loss}`, {len(history)} epoch{'s' * (len(history) != 1)} of at most {train.batch_size} products a step, learning rate "
            f"{train.learning_rate:g} ({train.schedule}), epoch {header.epoch} kept ({train.keep})."
        )
    lines.append("Works on log(1 + price); statistics are of train rows only.")
    return lines


def _limits(
    metrics: Mapping[str, Any], groups: Sequence[Mapping[Any, Any]], currency: str, *, has_intervals: bool
) -> list[str]:
    found = []
    few = [str(group["group"]) for group in groups if group["rows"] < FEWEST_ROWS]
    if metrics["rows"] < FEWEST_ROWS:
        found.append(f"All figures are of {metrics['rows']} products only, and uncertain.")
    elif len(few) == len(groups):
        found.append(f"No group of true prices has {FEWEST_ROWS} products, so the figures by price are uncertain.")
    elif few:
        found.append(
            f"Figures are uncertain, of fewer than {FEWEST_ROWS} products each, for true prices of {', '.join(few)} {currency}."
        )
    found += [
        f"{group['group']} {currency}: SMAPE {group['smape']:.1f} %, bias {_bias(group):+.0f} %: do not rely on it for these prices."
        for group in groups
        if group["rows"] >= FEWEST_ROWS and group["smape"] > BAD_SMAPE * metrics["smape"]
    ]
    found.append(
        "Predictions are too high for the cheapest products and too low for the most expensive, as with every model that hedges."
    )
    found.append(
        "Intervals are made to hold as often as they say for products like those that calibrated them, not for others."
        if has_intervals
        else "Prices have no intervals: there were fewer calibration rows than these need."
    )
    return found


def _bias(group: Mapping[Any, Any]) -> float:
    return 100 * (float(group["mean_predicted"]) / float(group["mean_true"]) - 1)


def _figure(value: float | None) -> str:
    return "undefined" if value is None or value != value else f"{value:.2f}"


def _of_a_sample(split: Mapping[str, Any]) -> list[str]:
    """That figures are of a sample, by the report of the split, which says how many rows of all are in memory."""
    return [sample_in_words(split["rows_in_memory"], split["rows"])] if "rows_in_memory" in split else []
