"""Effect of doubling the amount on predicted prices. Most models may lower the price, so it is measured.

Shapes: ``N`` products, ``K`` columns of the source that has amounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.quantity.amounts import AMOUNT, AMOUNT_KIND, GROWING
from price_fusion.lazy import pd
from price_fusion.models.unit_prices import amount_source
from price_fusion.parameters import ColumnSourceParameters, Source

if TYPE_CHECKING:
    from price_fusion.models.features import Features

TWICE: Final = "predicted_twice"
"""Column of evaluated products: the price predicted for twice the amount, in currency units; NaN where the amount is unknown."""


def twice_the_amount(features: Features, sources: Mapping[str, Source]) -> tuple[Features, NDArray[np.bool_]] | None:
    """Products with twice the amount, all else equal.

    Pack sizes stay, unless packs are what is counted. Embeddings stay, too, though that of a text states the amount in it.

    Args:
        features: of N products.
        sources: of the model.

    Returns:
        features, and (N,) whether the amount is known: the others are as they were. None if no source has amounts.
    """
    import torch

    from price_fusion.models.features import Features, SourceFeatures

    name = amount_source(sources)
    if name is None:
        return None
    own, source = features.sources[name], sources[name]
    assert isinstance(source, ColumnSourceParameters)  # noqa: S101 - for the type checker: ``amount_source`` named it
    known = own.rows.clamp_min(0)
    values = own.structural[known].numpy()
    grown = _doubled(values, source) & (own.rows >= 0).numpy()
    rows = torch.where(own.rows >= 0, torch.arange(len(own.rows)), -1)
    twice = SourceFeatures(own.vectors[known], torch.from_numpy(values), rows)
    return Features({**features.sources, name: twice}), grown


def amount_effect(results: pd.DataFrame) -> dict[str, Any] | None:
    """How often twice the amount lowers the predicted price.

    Args:
        results: evaluated products.

    Returns:
        ``rows`` whose amount is known, ``lower``: in percent of them, and ``median_ratio`` of the price of twice the amount to
        that of the amount. None without such rows.
    """
    ratios = price_ratios(results)
    if not len(ratios):
        return None
    return {
        "rows": len(ratios),
        "lower": 100 * float(np.mean(ratios < 1)),
        "median_ratio": float(np.median(ratios)),
    }


def price_ratios(results: pd.DataFrame) -> NDArray[np.float64]:
    """Price of twice the amount over that of the amount, of evaluated products whose amount is known."""
    if TWICE not in results:
        return np.empty(0)
    ratios = results[TWICE].to_numpy(np.float64) / results["predicted"].to_numpy(np.float64)
    known: NDArray[np.float64] = ratios[~np.isnan(ratios)]
    return known


def effect_in_words(effect: Mapping[str, Any] | None) -> list[str]:
    """A paragraph about ``amount_effect``; none without it."""
    if effect is None:
        return []
    return [
        f"Twice the amount, all else equal, lowers the predicted price of {effect['lower']:.1f} % of the {effect['rows']:,} "
        f"products whose amount is known; the median price ratio is {effect['median_ratio']:.2f}."
    ]


def _doubled(values: NDArray[np.float32], source: ColumnSourceParameters) -> NDArray[np.bool_]:
    """Double the amounts in (N, K) values, logarithms, in place; (N,) whether there was one."""
    place = {column: number for number, column in enumerate((*source.numeric, *source.categorical))}
    kinds = np.array(["", *source.vocabulary[AMOUNT_KIND]])[values[:, place[AMOUNT_KIND]].astype(np.int64)]
    pieces_are_packs = values[:, place["pack"]] == values[:, place["pieces"]]
    for kind, columns in GROWING.items():
        of_kind = kinds == kind
        if kind == "count":
            values[of_kind & pieces_are_packs, place["pack"]] += np.float32(np.log(2))
        for column in columns:
            values[of_kind, place[column]] += np.float32(np.log(2))
    return np.isin(kinds, list(GROWING)) & ~np.isnan(values[:, place[AMOUNT]])
