"""What a leaderboard says to do: which model to use, how sure that is, and what to try next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from price_fusion.lazy import pd
from price_fusion.parameters import ESTIMATOR_KINDS

LAST_PART = 0.2
"""Of the epochs, in which the validation SMAPE may still fall."""
FALL = 0.01
"""Relative fall in that part from which on longer training is proposed."""
History = Sequence[Mapping[str, Any]]


def best_in_a_sentence(leaderboard: pd.DataFrame) -> str:
    """The best line, and which are not significantly different from it."""
    best, others = leaderboard.iloc[0], leaderboard.iloc[1:]
    close = others.loc[others["behind_best_low"] <= 0, "model"]
    compared = (
        f"not significantly different from it: {', '.join(close)}"
        if len(close)
        else "all others are significantly worse"
    )
    return (
        f"best: {best['model']}, SMAPE {best['smape']:.2f} % [{best['smape_low']:.2f}, {best['smape_high']:.2f}] on "
        f"{best['rows']:,} {best['split']} rows; {compared}"
    )


def verdict(leaderboard: pd.DataFrame, histories: Mapping[str, History]) -> list[str]:
    """Sentences: the best line; which model to use and how sure that is; the command for its prices; what to try next.

    Args:
        leaderboard: as ``compare`` gives it.
        histories: one record per epoch of each variant.
    """
    sentences = [best_in_a_sentence(leaderboard)]
    usable = leaderboard[leaderboard["model"].isin([*histories, *ESTIMATOR_KINDS])]
    if len(usable):
        chosen = usable.iloc[0]
        sentences.append(f"use {chosen['model']}: {_how_sure(usable, leaderboard)}")
        sentences.append(f"its prices for new products: kedro run --pipelines predict_{chosen['model']}")
    longer = [advice for name, history in histories.items() if (advice := _train_longer(name, history))]
    sources = f"which sources help: kedro run --pipelines ablate_{next(iter(histories))}" if histories else ""
    return [*sentences, *(f"next: {advice}" for advice in [*longer, sources] if advice)]


def _how_sure(usable: pd.DataFrame, leaderboard: pd.DataFrame) -> str:
    """How the first usable line compares with the second, product by product."""
    chosen = usable.iloc[0]
    if len(usable) < 2:
        return "no other model was compared"
    if chosen["model"] != leaderboard.iloc[0]["model"]:
        return f"{leaderboard.iloc[0]['model']}, which is better here, is a line of comparison and cannot predict by itself"
    second = usable.iloc[1]
    ahead, low, high = (second[f"behind_best{end}"] for end in ("", "_low", "_high"))
    found = f"{ahead:.2f} points of SMAPE [{low:.2f}, {high:.2f}] ahead of {second['model']}"
    if low > 0:
        return f"{found}, significantly"
    return f"{found}, which is within chance ({100 * second['reversed']:.0f} % of the resamples reverse it): either will do"


def _train_longer(name: str, history: History) -> str | None:
    """Advice for a variant whose validation SMAPE still fell in the last part of its epochs."""
    smape = [float(record["smape"]) for record in history if "smape" in record]
    place = int(len(smape) * (1 - LAST_PART)) - 1
    if place < 0 or smape[-1] >= smape[place] * (1 - FALL):
        return None
    return (
        f"train {name} longer, as its validation SMAPE still fell from {smape[place]:.2f} to {smape[-1]:.2f} % in the last fifth of its "
        f"epochs: kedro run --pipelines compare --params {name}.train.epochs={2 * len(history)}"
    )
