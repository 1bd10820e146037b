"""From the sample table to a split table."""

from __future__ import annotations

from typing import Any

import numpy as np

from price_fusion.data.ids import Ids
from price_fusion.data.splits import report_split, split_samples
from price_fusion.lazy import pd
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.parameters import PriceGroupParameters, SplittingParameters


def split_products(
    samples: pd.DataFrame, splitting: SplittingParameters, seed: int, currency: str, **tuned_on: Ids
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Split table and its report; ``tuned_on`` holds, per source, the ids that its encoder was tuned on."""
    table = split_samples(
        samples,
        fractions=splitting.fractions,
        price_quantiles=splitting.price_quantiles,
        folds=splitting.folds,
        tuned_on=tuned_on,
        seed=seed,
    )
    return table, report_split(samples, table, tuned_on) | {"currency": currency}


def group_prices(
    samples: pd.DataFrame, split_table: pd.DataFrame, currency: str, price_groups: PriceGroupParameters
) -> dict[str, Any]:
    """The groups of prices that figures are given for: as configured, or by the train prices."""
    train = samples["price"].to_numpy(np.float64)[(split_table["split"] == "train").to_numpy()]
    return PriceGroups.of_prices(train, currency, price_groups).model_dump(mode="json")
