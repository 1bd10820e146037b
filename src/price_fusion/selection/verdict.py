"""What a leaderboard says to do: which model to use, how sure that is, and what to try next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from price_fusion.data.splits import NO_FOLD
from price_fusion.lazy import pd
from price_fusion.parameters import ESTIMATOR_KINDS
from price_fusion.selection.comparison import MEDIAN

LAST_PART = 0.2
"""Of the epochs, in which the validation SMAPE may still fall."""
FALL = 0.01
"""Relative fall in that part from which on longer training is proposed."""
WORTH_LABELLING = 0.1
"""Points of SMAPE that twice the labels must bring for more labels to be proposed."""
MOST_NAMES = 3
"""Of models, that are listed where they are all others."""
FEWEST_ROWS = 200
"""Validation rows from which on a fall of their mean SMAPE is no accident of single products: one of 200 moves it by a point at most."""
History = Sequence[Mapping[str, Any]]


def best_in_a_sentence(leaderboard: pd.DataFrame) -> str:
    """The best line, and which are not significantly different from it."""
    best = leaderboard.iloc[0]
    return (
        f"best: {best['model']}, SMAPE {best['smape']:.2f} % [{best['smape_low']:.2f}, {best['smape_high']:.2f}] on "
        f"{best['rows']:,} {best['split']} rows{_compared_with(leaderboard.iloc[1:])}"
    )


def _compared_with(others: pd.DataFrame) -> str:
    close = others.loc[others["behind_best_low"] <= 0, "model"]
    if not len(others):
        return ""
    if not len(close):
        return "; all others are significantly worse"
    if len(close) == len(others) > MOST_NAMES:
        return f"; none of the {len(others)} others is significantly worse"
    return f"; not significantly different from it: {', '.join(close)}"


def verdict(
    leaderboard: pd.DataFrame,
    histories: Mapping[str, History],
    validation_rows: int,
    ablations: Mapping[str, pd.DataFrame] | None = None,
    curve: Mapping[str, Any] | None = None,
) -> list[str]:
    """Sentences: the best line; which model to use and how sure that is, also against one price for all; the command for its prices; what to try next.

    Args:
        leaderboard: as ``compare`` gives it.
        histories: one record per epoch of each variant.
        validation_rows: whose SMAPE these records have.
        ablations: of the variants that have one, as ``retraining_importance`` gives them.
        curve: as ``learning_curve`` gives it.
    """
    ablations = ablations or {}
    sentences = [best_in_a_sentence(leaderboard)]
    usable = leaderboard[leaderboard["model"].isin([*histories, *ESTIMATOR_KINDS])]
    if len(usable):
        chosen = usable.iloc[0]
        sentences.append(f"use {chosen['model']}: {_how_sure(usable, leaderboard)}")
        sentences += _no_better_than_one_price(leaderboard, chosen["model"])
        sentences.append(f"to predict new products with it: kedro run --pipelines predict_{chosen['model']}")
    best_first = [name for name in leaderboard["model"] if name in histories]
    advice = [
        _train_more_than_once({name: histories[name] for name in best_first}),
        _train_longer({name: histories[name] for name in best_first}, validation_rows),
        *(_without_source(name, ablations[name]) for name in best_first if name in ablations),
        _more_labels(curve),
        _ablate(next(iter(best_first), None), ablations),
    ]
    return [*sentences, *(f"next: {one}" for one in advice if one)]


def is_of_split(ablation: pd.DataFrame, split_table: pd.DataFrame) -> bool:
    """Whether an ablation trained something, and on as many rows as the folds have now."""
    rows = ablation["rows"].dropna()
    return len(rows) > 0 and int(rows.iloc[0]) == int((split_table["fold"] != NO_FOLD).sum())


def _how_sure(usable: pd.DataFrame, leaderboard: pd.DataFrame) -> str:
    """How the first usable line compares with the second, product by product."""
    chosen = usable.iloc[0]
    if len(usable) < 2:
        return "no other model was compared"
    if chosen["model"] != leaderboard.iloc[0]["model"]:
        return f"{leaderboard.iloc[0]['model']} is better here, but only serves as a baseline and has no pipeline that predicts"
    second = usable.iloc[1]
    ahead, low, high = (second[f"behind_best{end}"] for end in ("", "_low", "_high"))
    found = f"{ahead:.2f} points of SMAPE [{low:.2f}, {high:.2f}] ahead of {second['model']}"
    if low > 0:
        return f"{found}, significantly"
    return f"{found}, not significantly ({100 * second['reversed']:.0f} % of the resamples reverse it): either will do"


def _no_better_than_one_price(leaderboard: pd.DataFrame, chosen: str) -> list[str]:
    """A reservation about the best line, where it may owe its lead over the median price for all products to chance."""
    median = leaderboard[(leaderboard["model"] == MEDIAN) & (leaderboard["behind_best_low"] <= 0)]
    if median.empty or chosen != leaderboard.iloc[0]["model"]:
        return []
    ahead, low, high = (median.iloc[0][f"behind_best{end}"] for end in ("", "_low", "_high"))
    return [
        f"not shown: that {chosen} is better than the median price for all products ({ahead:.2f} points of SMAPE "
        f"[{low:.2f}, {high:.2f}] ahead of it)"
    ]


def _train_more_than_once(histories: Mapping[str, History]) -> str | None:
    """Advice for variants of one epoch, whose errors say nothing of what they can learn."""
    found = [name for name, history in histories.items() if len(history) == 1]
    if not found:
        return None
    epochs = ", ".join(f"{name}.train.epochs" for name in found)
    return f"train {_listed(found)} for more than one epoch ({epochs}); a single one says nothing about how low the error can go"


def _train_longer(histories: Mapping[str, History], validation_rows: int) -> str | None:
    """Advice for the variants whose validation SMAPE still fell in the last part of their epochs, if of enough rows."""
    fell = {name: ends for name, history in histories.items() if (ends := _still_fell(history))}
    if not fell or validation_rows < FEWEST_ROWS:
        return None
    falls = ", ".join(f"{name} from {before:.2f} to {after:.2f} %" for name, (before, after) in fell.items())
    epochs = ",".join(f"{name}.train.epochs={2 * len(histories[name])}" for name in fell)
    return (
        f"train {_listed(list(fell))} longer, as the SMAPE of {validation_rows:,} validation rows still fell in the last fifth of the epochs ({falls}): "
        f"kedro run --pipelines compare --only-missing-outputs --params {epochs}"
    )


def _still_fell(history: History) -> tuple[float, float] | None:
    """Validation SMAPE before and after the last part of the epochs, where it fell in it."""
    smape = [float(record["smape"]) for record in history if "smape" in record]
    place = int(len(smape) * (1 - LAST_PART)) - 1
    if place < 0 or smape[-1] >= smape[place] * (1 - FALL):
        return None
    return smape[place], smape[-1]


def _without_source(variant: str, ablation: pd.DataFrame) -> str | None:
    """Advice to leave out what a variant is most clearly better without, if there is such."""
    hurts = ablation[ablation["importance_points_high"] < 0].sort_values("importance_points")
    if hurts.empty:
        return None
    worst = hurts.iloc[0]
    lower, low, high = (-worst[f"importance_points{end}"] for end in ("", "_high", "_low"))
    return (
        f"leave {worst['sources']} out of {variant}.sources: in ablate_{variant}, its SMAPE was {lower:.2f} points "
        f"[{low:.2f}, {high:.2f}] lower without"
    )


def _more_labels(curve: Mapping[str, Any] | None) -> str | None:
    """Advice to label more products, where that would clearly help."""
    twice = curve and curve["twice"]
    if not curve or not twice or twice["gain_low"] <= 0 or twice["gain"] < WORTH_LABELLING:
        return None
    return (
        f"label more products: twice as many would lower the SMAPE of {curve['model']} by about {twice['gain']:.1f} points "
        f"[{twice['gain_low']:.1f}, {twice['gain_high']:.1f}], extrapolated from fits on a quarter, half and all of the "
        f"{curve['sizes'][-1]['rows']:,} train rows"
    )


def _ablate(best: str | None, ablations: Mapping[str, pd.DataFrame]) -> str | None:
    """Advice to find out which sources matter to the best variant, unless that is known."""
    if best is None or best in ablations:
        return None
    return f"find out which sources help {best}: kedro run --pipelines ablate_{best}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
