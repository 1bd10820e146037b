"""Groups of prices for tests: those of the reference."""

from __future__ import annotations

from typing import Any

from price_fusion.metrics.price_groups import PriceGroups

GROUPS = PriceGroups(
    currency="USD",
    edges=(5, 10, 15, 20, 30, 50, 100, 200, 500),
    ranges={"very low": 0, "low": 10, "medium": 30, "high": 100, "very high": 300},
)
SAVED: dict[str, Any] = GROUPS.model_dump(mode="json")
"""As the catalog has them."""
