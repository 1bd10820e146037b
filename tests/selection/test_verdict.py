from __future__ import annotations

import pandas as pd
import pytest

from price_fusion.selection.verdict import verdict

FALLING = [{"epoch": number, "smape": 60.0 - number} for number in range(10)]
FLAT = [{"epoch": number, "smape": 50.0} for number in range(10)]


def board(*lines: tuple[str, float, float, float]) -> pd.DataFrame:
    """Lines of model, how far behind the best, and the bounds of that."""
    rows = [
        {"model": model, "smape": 50 + behind, "smape_low": 49 + behind, "smape_high": 51 + behind, "rows": 1_200}
        | {"split": "holdout", "behind_best": behind, "behind_best_low": low, "behind_best_high": high, "reversed": 0.3}
        for model, behind, low, high in lines
    ]
    return pd.DataFrame(rows)


def test_the_first_model_that_can_predict_is_to_be_used() -> None:
    said = verdict(board(("moe", 0, 0, 0), ("ridge", 2, 1, 3), ("median", 9, 8, 10)), {"moe": FLAT})
    assert said == [
        "best: moe, SMAPE 50.00 % [49.00, 51.00] on 1,200 holdout rows; all others are significantly worse",
        "use moe: 2.00 points of SMAPE [1.00, 3.00] ahead of ridge, significantly",
        "its prices for new products: kedro run --pipelines predict_moe",
        "next: which sources help: kedro run --pipelines ablate_moe",
    ]


def test_a_lead_within_chance_is_called_so() -> None:
    said = verdict(board(("neighbours", 0, 0, 0), ("moe", 0.2, -1, 1.5)), {"moe": FLAT})
    assert said[1] == (
        "use neighbours: 0.20 points of SMAPE [-1.00, 1.50] ahead of moe, which is within chance (30 % of the resamples reverse it): "
        "either will do"
    )
    assert said[2].endswith("predict_neighbours")


def test_a_ridge_of_few_sources_is_a_line_of_comparison() -> None:
    said = verdict(board(("ridge of words", 0, 0, 0), ("moe", 1, 0.5, 2)), {"moe": FLAT})
    assert said[1] == "use moe: no other model was compared"
    said = verdict(board(("ridge of words", 0, 0, 0), ("moe", 1, 0.5, 2), ("ridge", 2, 1, 3)), {"moe": FLAT})
    assert said[1].startswith("use moe: ridge of words, which is better here, is a line of comparison")


@pytest.mark.parametrize(("history", "longer"), [(FALLING, True), (FLAT, False), ([{"epoch": 0, "loss": 1.0}], False)])
def test_longer_training_is_proposed_where_the_error_still_falls(
    history: list[dict[str, float]], *, longer: bool
) -> None:
    said = verdict(board(("moe", 0, 0, 0)), {"moe": history})
    assert any(sentence.startswith("next: train moe longer") for sentence in said) is longer
    assert any("--params moe.train.epochs=20" in sentence for sentence in said) is longer
