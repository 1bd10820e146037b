"""Calibrating a trained network, so that it can give intervals."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from price_fusion.data.roles import Rows
from price_fusion.data.table import EmbeddingTable
from price_fusion.metrics.intervals import MIN_ROWS, calibrate, rows_needed
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.features import features_from_tables
from price_fusion.models.network import Network

logger = logging.getLogger(__name__)


def calibrated(
    checkpoint: Checkpoint,
    samples: pd.DataFrame,
    rows: Rows,
    tables: Mapping[str, EmbeddingTable],
    levels: Sequence[float],
) -> Checkpoint:
    """The checkpoint with its errors on some rows; as it was, with a warning, if they are too few for the levels.

    Args:
        checkpoint: of a model that was neither fitted on these rows nor selected on them.
        samples: the sample table, labelled.
        rows: to calibrate on.
        tables: one per source.
        levels: of the intervals that will be asked for.
    """
    if not has_enough_rows(checkpoint.header.variant, len(rows), levels):
        return checkpoint
    chosen = samples.iloc[rows]
    network = Network(checkpoint)
    log_prices = network.log_prices(features_from_tables(chosen, tables, network.sources))
    true = chosen["price"].to_numpy(np.float64)
    return replace(checkpoint, calibration=calibrate(log_prices, true, network.price_scale))


def has_enough_rows(name: str, rows: int, levels: Sequence[float]) -> bool:
    """Whether there are rows enough to calibrate intervals of these levels on; says so if not.

    Args:
        name: of the variant, for the message.
        rows: to calibrate on.
        levels: of the intervals.
    """
    needed = max(MIN_ROWS, *(rows_needed(level) for level in levels))
    if rows < needed:
        logger.warning(
            "%s: %d rows to calibrate intervals on, %d are needed for a level of %g %%: predictions will have none. Give "
            "more validation rows (splitting.proportions).",
            name,
            rows,
            needed,
            100 * max(levels),
        )
    return rows >= needed
