from __future__ import annotations

import pandas as pd
import pytest

from price_fusion.selection.verdict import FEWEST_ROWS, is_of_split, verdict

FALLING = [{"epoch": number, "smape": 60.0 - number} for number in range(10)]
MANY = FEWEST_ROWS
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
    said = verdict(board(("moe", 0, 0, 0), ("ridge", 2, 1, 3), ("median", 9, 8, 10)), {"moe": FLAT}, MANY)
    assert said == [
        "best: moe, SMAPE 50.00 % [49.00, 51.00] on 1,200 holdout rows; all others are significantly worse",
        "use moe: 2.00 points of SMAPE [1.00, 3.00] ahead of ridge, significantly",
        "to predict new products with it: kedro run --pipelines predict_moe",
        "next: find out which sources help moe: kedro run --pipelines ablate_moe",
    ]


def test_a_lead_within_chance_is_called_so() -> None:
    said = verdict(board(("neighbours", 0, 0, 0), ("moe", 0.2, -1, 1.5)), {"moe": FLAT}, MANY)
    assert said[1] == (
        "use neighbours: 0.20 points of SMAPE [-1.00, 1.50] ahead of moe, not significantly (30 % of the resamples reverse it): "
        "either will do"
    )
    assert said[2].endswith("predict_neighbours")


def test_a_ridge_of_few_sources_only_serves_as_a_baseline() -> None:
    said = verdict(board(("ridge of words", 0, 0, 0), ("moe", 1, 0.5, 2)), {"moe": FLAT}, MANY)
    assert said[1] == "use moe: no other model was compared"
    said = verdict(board(("ridge of words", 0, 0, 0), ("moe", 1, 0.5, 2), ("ridge", 2, 1, 3)), {"moe": FLAT}, MANY)
    assert said[1].startswith("use moe: ridge of words is better here, but only serves as a baseline")


@pytest.mark.parametrize(
    ("history", "rows", "longer"),
    [
        (FALLING, MANY, True),
        (FALLING, MANY - 1, False),
        (FLAT, MANY, False),
        ([{"epoch": 0, "loss": 1.0}], MANY, False),
    ],
)
def test_longer_training_is_proposed_where_the_error_of_enough_rows_still_falls(
    history: list[dict[str, float]], rows: int, *, longer: bool
) -> None:
    said = verdict(board(("moe", 0, 0, 0)), {"moe": history}, rows)
    assert any(sentence.startswith("next: train moe longer") for sentence in said) is longer
    assert any("--only-missing-outputs --params moe.train.epochs=20" in sentence for sentence in said) is longer


def test_variants_of_one_epoch_are_no_verdict_on_what_they_can_learn() -> None:
    said = verdict(board(("moe", 0, 0, 0), ("wide", 1, 0.5, 2)), {"moe": FALLING[:1], "wide": FALLING[:1]}, MANY)
    expected = "next: train moe and wide for more than one epoch (moe.train.epochs, wide.train.epochs); "
    assert any(one.startswith(expected) for one in said)


def test_one_price_for_all_may_do_as_well() -> None:
    said = verdict(board(("moe", 0, 0, 0), ("median", 3, -5, 12)), {"moe": FLAT}, MANY)
    assert said[2] == (
        "not shown: that moe is better than the median price for all products (3.00 points of SMAPE [-5.00, 12.00] ahead of it)"
    )


def test_not_every_model_is_listed_where_none_is_worse() -> None:
    others = [(f"m{number}", 1, -1, 3) for number in range(4)]
    assert verdict(board(("moe", 0, 0, 0), *others), {}, MANY)[0].endswith(
        "; none of the 4 others is significantly worse"
    )
    assert verdict(board(("moe", 0, 0, 0), *others[:2]), {}, MANY)[0].endswith(
        "; not significantly different from it: m0, m1"
    )
    assert verdict(board(("moe", 0, 0, 0)), {}, MANY)[0].endswith(" holdout rows")


def test_one_sentence_names_all_variants_to_train_longer_the_best_first() -> None:
    lines = board(("wide", 0, 0, 0), ("flat", 0.5, -1, 1), ("moe", 1, 0.5, 2))
    (said,) = (
        one
        for one in verdict(lines, {"moe": FALLING, "flat": FLAT, "wide": [*FALLING, *FALLING[-1:]]}, MANY)
        if "longer" in one
    )
    assert said == (
        "next: train wide and moe longer, as the SMAPE of 200 validation rows still fell in the last fifth of the epochs (wide from 53.00 to "
        "51.00 %, moe from 53.00 to 51.00 %): kedro run --pipelines compare --only-missing-outputs --params wide.train.epochs=22,moe.train.epochs=20"
    )


def ablation(*lines: tuple[str, float, float, float]) -> pd.DataFrame:
    """Lines of source, rise of SMAPE without it, and the bounds of that."""
    rows = [
        {"variant": "moe", "part": name, "sources": name, "rows": 9.0}
        | {"importance_points": rise, "importance_points_low": low, "importance_points_high": high}
        for name, rise, low, high in lines
    ]
    return pd.DataFrame(rows)


def test_the_source_that_hurts_most_is_named_only_where_that_is_significant() -> None:
    lines, history = board(("moe", 0, 0, 0)), {"moe": FLAT}
    hurts = ablation(("words", 2, 1, 3), ("scent", -0.5, -0.9, -0.1), ("sound", -0.8, -1.5, -0.2), ("odd", -9, -20, 2))
    assert verdict(lines, history, MANY, {"moe": hurts})[3:] == [
        "next: leave sound out of moe.sources: in ablate_moe, its SMAPE was 0.80 points [0.20, 1.50] lower without"
    ]
    assert verdict(lines, history, MANY, {"moe": ablation(("odd", -9, -20, 2))})[3:] == []


def test_an_ablation_of_another_split_does_not_count() -> None:
    folds = pd.DataFrame({"fold": [0] * 9 + [-1] * 3})
    assert is_of_split(ablation(("words", 2, 1, 3)), folds)
    assert not is_of_split(ablation(("words", 2, 1, 3)), folds.iloc[1:])
    assert not is_of_split(ablation(("words", 2, 1, 3)).assign(rows=float("nan")), folds)


@pytest.mark.parametrize(("gain", "low", "says"), [(2.0, 1.4, True), (2.0, -0.1, False), (0.04, 0.03, False)])
def test_more_labels_are_proposed_where_the_gain_is_significant_and_worth_it(
    gain: float, low: float, *, says: bool
) -> None:
    twice = {"rows": 420, "smape": 48.0, "gain": gain, "gain_low": low, "gain_high": 2.6}
    curve = {"model": "ridge", "split": "holdout", "sizes": [{"rows": 210}], "twice": twice}
    said = verdict(board(("moe", 0, 0, 0)), {"moe": FLAT}, MANY, curve=curve)
    expected = (
        "next: label more products: twice as many would lower the SMAPE of ridge by about 2.0 points [1.4, 2.6], "
    )
    assert any(one.startswith(expected) for one in said) is says
