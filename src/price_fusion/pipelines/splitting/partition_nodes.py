"""From products in partitions, which are split as they are dealt out, to the split table of those in memory."""

from __future__ import annotations

from typing import Any

from price_fusion.data.ids import Ids
from price_fusion.data.partitions.gathering import gather_split
from price_fusion.data.partitions.labels import merged_split
from price_fusion.data.splits import report_split
from price_fusion.lazy import pd
from price_fusion.storage.fingerprint import is_sample
from price_fusion.storage.partitions.parts import Partitions


def split_in_memory(
    products: Partitions, samples: pd.DataFrame, currency: str, **tuned_on: Ids
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Split table, and the report of all labelled products; where not all are in memory, medians are right to 0.1 %."""
    table = gather_split(products, samples)
    if is_sample(samples):
        return table, merged_split(products) | {"currency": currency, "rows_in_memory": len(samples)}
    return table, report_split(samples, table, tuned_on) | {"currency": currency}
