"""Figures of a model, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.data.checks.frame_checks import refuse_other_products, refuse_other_rows
from price_fusion.data.roles import rows_to_report
from price_fusion.lazy import pd
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.parameters import (
    ComparisonParameters,
    EnsembleParameters,
    ModelCardParameters,
    ReportParameters,
)
from price_fusion.pipelines.reporting.further import importances_found, leaks_found
from price_fusion.storage.fingerprint import rows_of_whole


def draw_quality(
    results: pd.DataFrame, metrics_by_price: pd.DataFrame, coverage: pd.DataFrame, price_groups: dict[str, Any]
) -> tuple[Any, Any, Any, Any]:
    """True against predicted, errors by price, residuals and calibration."""
    from price_fusion.report import figures

    groups = PriceGroups.model_validate(price_groups)
    price, predicted = results["price"].to_numpy(), results["predicted"].to_numpy()
    return (
        figures.true_against_predicted(price, predicted, groups.currency),
        figures.errors_by_price(metrics_by_price, groups),
        figures.residuals(price, predicted, groups),
        figures.calibration(price, predicted, coverage, groups.currency),
    )


def draw_network(checkpoint: Any, history: list[dict[str, Any]], gate: dict[str, Any]) -> tuple[Any, Any]:
    """Learning curves, and gate weights by price."""
    from price_fusion.report import figures

    return figures.learning_curves(history, checkpoint.header.epoch), figures.gate_by_price(gate)


def write_variant_report(
    *, report: ReportParameters, comparison: ComparisonParameters, seed: int, final_fit: bool, **saved: Any
) -> str:
    """The page of a variant.

    Args:
        report: what the page shows.
        comparison: the bootstrap's settings.
        seed: of the bootstrap.
        final_fit: whether a final fit predicts new products.
        saved: what earlier nodes saved, the folder of reports and the options of commands, by the names of ``pipeline.py``.

    Raises:
        ComparisonError: if the variant was trained or evaluated on another split.
    """
    from price_fusion.report.model_sections import inside_variant, making_of_variant

    checkpoint = saved["model"]
    importances = importances_found(saved["folder"], checkpoint.name)
    figures = (saved["learning_curves"], saved["gate_by_price"])
    inside = inside_variant(checkpoint.name, *figures, saved["gate"], importances)
    making = making_of_variant(checkpoint.header, saved["history"])
    return _page(saved, report, comparison, seed, final_fit, inside, making)


def write_ensemble_report(
    *,
    report: ReportParameters,
    comparison: ComparisonParameters,
    seed: int,
    final_fit: bool,
    ensemble: EnsembleParameters,
    **saved: Any,
) -> str:
    """The page of an ensemble; arguments as of ``write_variant_report``, and its configuration."""
    from price_fusion.report.model_sections import inside_ensemble, making_of_ensemble

    configuration = {"preset": ensemble.preset} | ensemble.chosen.model_dump(mode="json")
    making = making_of_ensemble(saved["model"].manifest, configuration)
    final = ensemble.has_final_fit(wanted=final_fit)
    return _page(saved, report, comparison, seed, final, inside_ensemble(saved["members"]), making)


def write_variant_card(*, about: ModelCardParameters, final_fit: bool, **saved: Any) -> str:
    """The model card of a variant; ``saved`` as of ``write_variant_report``."""
    from price_fusion.report.model_card import model_card

    path = f"data/06_models/{saved['model'].name}/{'final/' if final_fit else ''}checkpoint.safetensors"
    return model_card(**saved, about=about, path=path, final_fit=final_fit)


def write_ensemble_card(
    *, about: ModelCardParameters, final_fit: bool, ensemble: EnsembleParameters, **saved: Any
) -> str:
    """The model card of an ensemble."""
    from price_fusion.report.model_card import model_card

    final = ensemble.has_final_fit(wanted=final_fit)
    path = f"data/06_models/ensemble{'_final' if final else ''}"
    return model_card(**saved, history=[], about=about, path=path, final_fit=final)


def _page(
    saved: dict[str, Any],
    report: ReportParameters,
    comparison: ComparisonParameters,
    seed: int,
    final_fit: bool,
    inside: Any,
    making: Any,
) -> str:
    from price_fusion.report.data_tables import data_section
    from price_fusion.report.listed_products import extreme_products
    from price_fusion.report.model_page import headlines, model_page
    from price_fusion.report.page import Section
    from price_fusion.report.who_predicts import sample_in_words, who_predicts

    model, results, samples = saved["model"], saved["results"], saved["samples"]
    refuse_other_products(samples, saved["split_table"])
    reported = samples.iloc[rows_to_report(saved["split_table"], model)]
    refuse_other_rows(results, reported)
    groups = reported["group_key"].to_numpy()
    resamples, coverage = comparison.resamples, saved["coverage"]
    numbers = headlines(results, groups, coverage, model.median_price, model.currency, resamples=resamples, seed=seed)
    pictures = Path(report.images) if report.images else None
    shown = extreme_products(saved["extremes"], saved["products"], pictures)
    products = Section("Products", text=["By SMAPE."], products=shown)
    found = {name: saved[name] for name in ("split", "alignment", "checks")} | leaks_found(saved["folder"])
    data = data_section(**found, currency=model.currency)
    whole = rows_of_whole(samples)
    predicts = f"{who_predicts(model, whole, final_fit=final_fit)} {sample_in_words(len(samples), whole)}".rstrip()
    others = [inside, products, data, making]
    return model_page(model.name, results, predicts, model.currency, numbers, saved, others, saved["options"])
