"""Calibrating a trained network, so that it can give intervals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.roles import Rows
from price_fusion.data.table import EmbeddingTable
from price_fusion.metrics.intervals import calibrate, rows_to_calibrate
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.features import Features, features_from_tables
from price_fusion.models.network import Network
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.training.loader.row_samples import drawn_rows

logger = logging.getLogger(__name__)

MOST_ROWS = 50_000
"""Calibration rows of products in partitions: more make intervals no better, and a checkpoint larger."""


def calibrated(
    checkpoint: Checkpoint,
    samples: pd.DataFrame,
    rows: Rows,
    tables: Mapping[str, EmbeddingTable],
    levels: Sequence[float],
) -> Checkpoint:
    """The checkpoint with its errors on some rows; with their number alone, and a warning, if they are too few for the levels.

    Args:
        checkpoint: of a model that was neither fitted on these rows nor selected on them.
        samples: the sample table, labelled.
        rows: to calibrate on.
        tables: one per source.
        levels: of the intervals that will be asked for.
    """
    chosen = samples.iloc[rows]
    sources = checkpoint.header.sources
    true = chosen["price"].to_numpy(np.float64)
    return _calibrated(checkpoint, true, lambda: features_from_tables(chosen, tables, sources), levels)


def calibrated_on_partitions(
    checkpoint: Checkpoint,
    samples: Partitions,
    tables: Mapping[str, TablePartitions],
    *,
    half: int | None,
    levels: Sequence[float],
    seed: int,
) -> Checkpoint:
    """As ``calibrated``, on a random sample of the validation rows of products in partitions.

    Args:
        checkpoint: of a model that was neither fitted on these rows nor selected on them.
        samples: labelled.
        tables: one per source.
        half: of the validation rows, where training selected on the other; None: all of them.
        levels: of the intervals that will be asked for.
        seed: of the sample.
    """
    sources = checkpoint.header.sources
    rows = drawn_rows(samples, tables, sources, split="validation", half=half, most=MOST_ROWS, seed=seed)
    return _calibrated(checkpoint, rows.prices, rows.features, levels)


def _calibrated(
    checkpoint: Checkpoint, prices: NDArray[np.floating[Any]], features: Callable[[], Features], levels: Sequence[float]
) -> Checkpoint:
    needed = rows_to_calibrate(levels)
    if len(prices) < needed:
        logger.warning(
            "%s: %d rows to calibrate intervals on, %d are needed for a level of %g %%: predictions will have none. Give "
            "more validation rows (splitting.proportions).",
            checkpoint.header.variant,
            len(prices),
            needed,
            100 * max(levels),
        )
        return replace(checkpoint, header=checkpoint.header.model_copy(update={"calibration_rows": len(prices)}))
    network = Network(checkpoint)
    return replace(checkpoint, calibration=calibrate(network.log_prices(features()), prices, network.price_scale))
