"""Evaluated products: what a model said of them, and how far it was off."""

from __future__ import annotations

import numpy as np
import pandas as pd

from price_fusion.fusion.metrics import smape_per_product

EXTREMES = 20
"""How many of the best and of the worst products are listed."""


def evaluated_products(products: pd.DataFrame, split: str, given: pd.DataFrame) -> pd.DataFrame:
    """Prices of a model beside the true ones.

    Args:
        products: (N,) ``sample_id``, ``price`` in USD and ``tuned_on``; further columns are left out.
        split: of these rows.
        given: (N,) ``price`` as predicted, in USD, and the bounds of its intervals where there are some.

    Returns:
        (N,) ``sample_id``, ``split``, ``tuned_on``, ``price``, ``predicted`` and ``absolute_error`` in USD, ``smape`` in
        percent, and the bounds.
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
    return pd.concat([results, given.drop(columns="price")], axis=1)
