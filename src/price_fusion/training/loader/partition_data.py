"""What a variant is trained on, from partitions: train rows are streamed, samples of bounded size are in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from price_fusion.data.partitions.sketches import Sketch, merged_sketch, quantile
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.splits import SPLITS
from price_fusion.metrics.price_scale import price_unit
from price_fusion.models.device import choose_device
from price_fusion.models.features import Features, SourceFeatures
from price_fusion.parameters import VariantParameters
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.training.loader.row_samples import drawn_rows
from price_fusion.training.loader.stream import PartitionFeed
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.ranks import Ranks, local_rank

FITTED_ROWS = 100_000
"""Train rows, at most, that structural scales and the median price are taken from; their vectors are not read."""
WATCHED_ROWS = 50_000
"""Validation rows, at most, that metrics after each epoch are of."""
STOP_HALF, CALIBRATION_HALF = 0, 1
"""Halves of the validation rows, where training selects: those that it selects on, and those that intervals are made from."""


@dataclass(frozen=True)
class StreamedRows:
    """Which rows of partitions to train on."""

    fingerprints: Mapping[str, str]
    """Digests of what they were made from, for the checkpoint."""
    split: str | None = "train"
    """None: all labelled rows, and none are watched."""
    epoch_products: int | None = None
    """As of ``TrainingData``."""


def watched_half(parameters: VariantParameters) -> int | None:
    """Which half of the validation rows is watched during training; None: all of them."""
    return STOP_HALF if parameters.train.selects else None


def calibration_half(parameters: VariantParameters) -> int | None:
    """Which half of the validation rows calibrates intervals; None: all of them."""
    return CALIBRATION_HALF if parameters.train.selects else None


def partition_data(
    parameters: VariantParameters,
    samples: Partitions,
    tables: Mapping[str, TablePartitions],
    rows: StreamedRows,
    *,
    seed: int,
    window_bytes: int,
    ranks: Ranks | None = None,
) -> TrainingData:
    """Training data whose train rows are streamed; the first rank alone has the samples.

    Args:
        parameters: of the variant.
        samples: the sample table, labelled and split.
        tables: one per source of the variant, in the order of the model's tokens.
        rows: which of them to train on.
        seed: of the samples.
        window_bytes: what the features of a window may take.
        ranks: who trains.
    """
    ranks = ranks or Ranks()
    sources = {name: table.declaration for name, table in tables.items()}
    device = choose_device(parameters.train.device)
    if device.type == "cuda" and ranks.size > 1:
        device = torch.device("cuda", local_rank())
        torch.cuda.set_device(device)
    fitted_rows, watched_rows = (FITTED_ROWS, WATCHED_ROWS if rows.split else 0) if ranks.is_first else (0, 0)
    half = watched_half(parameters)
    train_prices = _prices(samples, ("train",))
    fitted_prices = _prices(samples, SPLITS) if rows.split is None else train_prices
    unit = price_unit(quantile(train_prices, 0.5)) if train_prices else 1.0
    watched = drawn_rows(
        samples, tables, sources, split="validation", half=half, most=watched_rows, seed=seed, unit=unit
    )
    fitted = drawn_rows(
        samples, tables, sources, split=rows.split, half=None, most=fitted_rows, seed=seed + 1, vectors=False, unit=unit
    )
    places = torch.arange(len(watched.prices) + len(fitted.prices))
    return TrainingData(
        features=_end_to_end(watched.features(), fitted.features()),
        prices=torch.from_numpy(np.concatenate([watched.prices, fitted.prices])),
        train=places[len(watched.prices) :],
        validation=places[: len(watched.prices)],
        sources=sources,
        dtypes={name: table.dtype for name, table in tables.items()},
        fingerprints=dict(rows.fingerprints),
        ids=None,
        device=device,
        unit=unit,
        price_range=(quantile(fitted_prices, 0.0), quantile(fitted_prices, 1.0)) if fitted_prices else None,
        epoch_products=rows.epoch_products,
        feed=PartitionFeed(
            samples,
            tables,
            sources,
            device,
            window_bytes=window_bytes,
            split=rows.split,
            epoch_products=rows.epoch_products,
            ranks=ranks,
            unit=unit,
        ),
    )


def _prices(samples: Partitions, splits: Sequence[str]) -> Sketch:
    """Those of some splits, in all partitions."""
    found = (part["prices"].get(name) for part in samples.summaries for name in splits)
    return merged_sketch(one["sketch"] for one in found if one)


def _end_to_end(whole: Features, columns: Features) -> Features:
    """Products of both. Those of the second have structural columns alone: nobody asks for vectors of train rows here."""
    return Features(
        {
            name: SourceFeatures(
                one.vectors,
                torch.cat([one.structural, columns.sources[name].structural]),
                torch.cat([one.rows, _moved(columns.sources[name].rows, len(one.rows))]),
            )
            for name, one in whole.sources.items()
        }
    )


def _moved(rows: torch.Tensor, by: int) -> torch.Tensor:
    return torch.where(rows >= 0, rows + by, -1)
