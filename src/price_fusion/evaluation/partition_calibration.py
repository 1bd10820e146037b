"""Calibrating a network on products in partitions, so that it can give intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.evaluation.calibration import has_enough_rows
from price_fusion.metrics.intervals import calibrate
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.network import Network
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.training.loader.row_samples import drawn_rows

MOST_ROWS = 50_000
"""Calibration rows: more make intervals no better, and a checkpoint larger."""


def calibrated_on_partitions(
    checkpoint: Checkpoint,
    samples: Partitions,
    tables: Mapping[str, TablePartitions],
    *,
    half: int | None,
    levels: Sequence[float],
    seed: int,
) -> Checkpoint:
    """The checkpoint with its errors on a random sample of validation rows; as it was, with a warning, if they are too few.

    Args:
        checkpoint: of a model that was neither fitted on these rows nor selected on them.
        samples: labelled.
        tables: one per source.
        half: of the validation rows, where training selected on the other; None: all of them.
        levels: of the intervals that will be asked for.
        seed: of the sample.
    """
    network = Network(checkpoint)
    rows = drawn_rows(samples, tables, network.sources, split="validation", half=half, most=MOST_ROWS, seed=seed)
    if not has_enough_rows(checkpoint.header.variant, len(rows.prices), levels):
        return checkpoint
    return replace(
        checkpoint, calibration=calibrate(network.log_prices(rows.features()), rows.prices, network.price_scale)
    )
