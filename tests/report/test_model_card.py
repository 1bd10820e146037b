"""A model card says what is known and "not stated" for what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from price_fusion.metrics.price_metrics import metrics_by_price
from price_fusion.models.checkpoint import Checkpoint, TrainingRecord
from price_fusion.parameters import ModelCardParameters
from price_fusion.pipelines.evaluation.nodes import summarise
from price_fusion.report.model_card import escaped, model_card
from support.prices import GROUPS, SAVED

COUNTS = {"rows": 400, "groups": 390, "median_price": 14.0, "mean_price": 23.5}
SPLIT = {"splits": {"holdout": COUNTS, "validation": COUNTS | {"rows": 0, "median_price": None, "mean_price": None}}}
ALIGNMENT = {"rows_kept": 900, "rows_in_all_sources": 880, "sources": {"samples": {"rows": 890, "missing": 10}}}


@pytest.fixture
def card(results: pd.DataFrame, coverage: pd.DataFrame, make_checkpoint: Callable[..., Checkpoint]) -> Any:
    def make(about: ModelCardParameters, *, final_fit: bool = False, few: int | None = None, **changes: object) -> str:
        changed = results.assign(**changes).head(few or len(results))
        intervals = coverage.iloc[:0] if few else coverage
        metrics, _, _ = summarise(changed, SAVED)
        by_price = metrics_by_price(changed["predicted"].to_numpy(), changed["price"].to_numpy(), GROUPS)
        checkpoint = make_checkpoint()
        record = TrainingRecord(rows=630, epoch_rows=630, steps=20, seed=1)
        checkpoint = replace(checkpoint, header=checkpoint.header.model_copy(update={"training": record}))
        path = "data/a.safetensors"
        return model_card(
            checkpoint, metrics, by_price, intervals, SPLIT, ALIGNMENT, [], about, path, final_fit=final_fit
        )

    return make


def test_figures_and_what_is_not_stated(card: Any, results: pd.DataFrame) -> None:
    text = card(ModelCardParameters(owner="A <b>shop</b> | you"))
    assert "| Owner | A \\<b\\>shop\\</b\\> \\| you |" in text
    assert "| Contact | not stated |" in text
    assert f"| SMAPE | {results['smape'].mean():.2f} % |" in text
    assert "which were not used for fitting" in text
    assert "holdout: 400 products in 390 groups, median price 14.00 USD" in text
    assert "validation" not in text
    assert 'Predictor.load("data/a.safetensors")' in text


def test_it_says_which_model_predicts_new_products_and_whose_error_it_shows(card: Any) -> None:
    itself = "New products are predicted by this very model, fitted on 630 of 900 labelled rows."
    assert itself in card(ModelCardParameters())
    text = card(ModelCardParameters(), final_fit=True)
    assert itself not in text
    assert "predicted by a final fit: the same training, repeated on all 900 labelled rows" in text
    assert "is that of the evaluated model, fitted on 630 of 900 labelled rows" in text


def test_rows_that_were_selected_on_are_no_honest_estimate(card: Any) -> None:
    assert "**expect worse on new products**" in card(ModelCardParameters(), split="validation")


def test_of_few_products_it_says_so_once_and_promises_no_intervals(card: Any) -> None:
    text = card(ModelCardParameters())
    assert text.count("uncertain") == 1
    assert (
        "Figures are uncertain, of fewer than 30 products each, for true prices of 100 to 200, 200 to 500 USD." in text
    )
    assert "and intervals around them" in text
    assert "No group of true prices has 30 products" in card(ModelCardParameters(), few=60)
    text = card(ModelCardParameters(), few=12)
    assert text.count("uncertain") == 1
    assert "All figures are of 12 products only, and uncertain." in text
    assert "and intervals around them" not in text
    assert "Prices have no intervals" in text


def test_escaped_text_is_on_one_line() -> None:
    assert escaped("a\n# title `code` [x](y)") == "a \\# title \\`code\\` \\[x\\](y)"
