"""Figures of a model, and its page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from price_fusion.fusion.roles import rows_to_report
from price_fusion.fusion.tables.validation.frames import refuse_other_products
from price_fusion.parameters import (
    ComparisonParameters,
    EnsembleParameters,
    ReportParameters,
)


def draw_quality(
    results: pd.DataFrame, metrics_by_price: pd.DataFrame, coverage: pd.DataFrame
) -> tuple[Any, Any, Any, Any]:
    """True against predicted, errors by price, residuals and calibration."""
    from price_fusion.fusion.report import figures

    price, predicted = results["price"].to_numpy(), results["predicted"].to_numpy()
    return (
        figures.true_against_predicted(price, predicted),
        figures.errors_by_price(metrics_by_price),
        figures.residuals(price, predicted),
        figures.calibration(price, predicted, coverage),
    )


def draw_network(checkpoint: Any, history: list[dict[str, Any]], gate: dict[str, Any]) -> tuple[Any, Any]:
    """Learning curves, and gate weights by price."""
    from price_fusion.fusion.report import figures

    return figures.learning_curves(history, checkpoint.header.epoch), figures.gate_by_price(gate)


def describe_variant(
    checkpoint: Any,
    history: list[dict[str, Any]],
    curves: Any,
    gate_figure: Any,
    gate: dict[str, Any],
    permutation: pd.DataFrame | None,
    retraining: pd.DataFrame | None,
) -> tuple[Any, Any]:
    """What the page says of the inside of a variant and of its making."""
    from price_fusion.fusion.report.model_sections import inside_variant, making_of_variant

    importances = {"permuted": permutation, "left out": retraining}
    inside = inside_variant(checkpoint.name, curves, gate_figure, gate, importances)
    return inside, making_of_variant(checkpoint.header, history)


def describe_ensemble(model: Any, members: pd.DataFrame, ensemble: EnsembleParameters) -> tuple[Any, Any]:
    """What the page says of the inside of an ensemble and of its making."""
    from price_fusion.fusion.report.model_sections import inside_ensemble, making_of_ensemble

    configuration = {"preset": ensemble.preset} | ensemble.chosen.model_dump(mode="json")
    return inside_ensemble(members), making_of_ensemble(model.manifest, configuration)


def describe_data(
    split: dict[str, Any],
    alignment: dict[str, Any],
    checks: dict[str, Any],
    overlaps: dict[str, Any] | None,
    informed_sources: dict[str, Any] | None,
) -> Any:
    """What every page says of the data."""
    from price_fusion.fusion.report.data_tables import data_section

    return data_section(split, alignment, checks, overlaps, informed_sources)


def show_products(extremes: pd.DataFrame, products: pd.DataFrame, report: ReportParameters) -> Any:
    """The best and worst products with their texts and pictures."""
    from price_fusion.fusion.report.page import Section
    from price_fusion.fusion.report.products import extreme_products

    pictures = Path(report.images) if report.images else None
    return Section("Products", text=["By SMAPE."], products=extreme_products(extremes, products, pictures))


def write_report(
    model: Any,
    results: pd.DataFrame,
    coverage: pd.DataFrame,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    comparison: ComparisonParameters,
    seed: int,
    true_against_predicted: Any,
    errors_by_price: Any,
    residuals: Any,
    calibration: Any,
    *sections: Any,
) -> str:
    """The page of a model; refuses one that was trained on another split."""
    from price_fusion.fusion.report.model_page import headlines, model_page

    refuse_other_products(samples, split_table)
    groups = samples["group_key"].to_numpy()[rows_to_report(split_table, model)]
    numbers = headlines(results, groups, coverage, model.median_price, resamples=comparison.resamples, seed=seed)
    written = datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC")
    figures = {
        "true_against_predicted": true_against_predicted,
        "errors_by_price": errors_by_price,
        "residuals": residuals,
        "calibration": calibration,
    }
    return model_page(model.name, results, numbers, figures, sections, written)
