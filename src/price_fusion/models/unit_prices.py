"""Unit prices: what 100 g, 100 ml or a piece of a product costs, where a source says how much of it there is.

Shapes: ``N`` products.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.quantity.amounts import AMOUNT, AMOUNT_KIND
from price_fusion.lazy import pd
from price_fusion.parameters import ColumnSourceParameters, Source

if TYPE_CHECKING:
    from price_fusion.models.features import Features

UNITS: Final = MappingProxyType({"weight": ("100 g", 100.0), "volume": ("100 ml", 100.0), "count": ("piece", 1.0)})
"""Of each kind of amount: the unit of the unit price, and its size in the base unit of the kind."""
UNIT_PRICE: Final = "unit_price"
UNIT: Final = "unit"
PREDICTED_UNIT_PRICE: Final = "predicted_unit_price"

Values = NDArray[np.float64]


class Units(NamedTuple):
    """How much of each product there is, in units of the unit price."""

    names: pd.Series[str]
    """(N,) of ``UNITS``; missing where the amount is unknown."""
    counts: Values
    """(N,) units in the product; NaN where the amount is unknown."""


def amount_source(sources: Mapping[str, Source]) -> str | None:
    """The source that says how much of a product there is, the one parsed as ``quantity``; None if there is none."""
    names = (
        name
        for name, source in sources.items()
        if isinstance(source, ColumnSourceParameters) and AMOUNT in source.parsed_columns
    )
    return next(names, None)


def unit_price_columns(sources: Mapping[str, Source]) -> tuple[str, ...]:
    """Columns that ``with_unit_prices`` adds to prices of a model with these sources."""
    return () if amount_source(sources) is None else (UNIT_PRICE, UNIT)


def with_unit_prices(prices: pd.DataFrame, features: Features, sources: Mapping[str, Source]) -> pd.DataFrame:
    """Predicted prices with their unit prices, where a source has amounts.

    Args:
        prices: (N,) with ``price`` in currency units.
        features: of the same products.
        sources: of the model.

    Returns:
        the same with ``unit_price`` in currency units and ``unit``, empty where the amount of a product is unknown; as it was where no
        source has amounts.
    """
    name = amount_source(sources)
    if name is None:
        return prices
    units = _units(features, name, sources[name])
    return prices.assign(**{UNIT_PRICE: prices["price"] / units.counts, UNIT: units.names.set_axis(prices.index)})


def _units(features: Features, name: str, source: Source) -> Units:
    assert isinstance(source, ColumnSourceParameters)  # noqa: S101 - for the type checker: ``amount_source`` named it
    own = features.sources[name]
    rows = own.rows.numpy()
    place = len(source.numeric) + source.categorical.index(AMOUNT_KIND)
    columns = own.structural[:, [source.numeric.index(AMOUNT), place]].numpy()[np.maximum(rows, 0)]
    units = [(None, np.nan), *(UNITS[kind] for kind in source.vocabulary[AMOUNT_KIND])]
    codes = np.where((rows >= 0) & ~np.isnan(columns[:, 0]), columns[:, 1], 0).astype(np.int64)
    sizes = np.array([size for _, size in units])[codes]
    names = np.array([unit for unit, _ in units], object)[codes]
    return Units(pd.Series(names, dtype="str"), np.exp(columns[:, 0].astype(np.float64)) / sizes)
