"""Evaluated products: what a model said of them, and how far it was off."""

from __future__ import annotations

import numpy as np

from price_fusion.lazy import pd
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.unit_prices import PREDICTED_UNIT_PRICE, UNIT, UNIT_PRICE

EXTREMES = 20
"""How many of the best and of the worst products are listed."""


def evaluated_products(products: pd.DataFrame, split: str, given: pd.DataFrame) -> pd.DataFrame:
    """Prices of a model beside the true ones.

    Args:
        products: (N,) ``sample_id``, ``price`` in currency units and ``tuned_on``; further columns are left out.
        split: of these rows.
        given: (N,) ``price`` as predicted, in currency units, the bounds of its intervals and unit prices where there are some.

    Returns:
        (N,) ``sample_id``, ``split``, ``tuned_on``, ``price``, ``predicted`` and ``absolute_error`` in currency units, ``smape`` in
        percent, and the bounds; where there are unit prices, ``unit``, ``unit_price`` and ``predicted_unit_price`` in currency units.
    """
    predicted, price = given["price"].to_numpy(), products["price"].to_numpy()
    results = pd.DataFrame(
        {
            "sample_id": products["sample_id"].to_numpy(),
            "split": split,
            "tuned_on": products["tuned_on"].to_numpy(),
            "price": price,
            "predicted": predicted,
            "absolute_error": np.abs(predicted - price),
            "smape": smape_per_product(predicted, price),
        }
    )
    rest = given.drop(columns="price")
    if UNIT_PRICE in rest:
        unit, unit_price = rest.pop(UNIT), rest.pop(UNIT_PRICE)
        rest = rest.assign(
            **{UNIT: unit, UNIT_PRICE: unit_price * (price / predicted), PREDICTED_UNIT_PRICE: unit_price}
        )
    return pd.concat([results, rest], axis=1)
