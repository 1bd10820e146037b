"""Prices of products to be predicted, partition by partition."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from price_fusion.data.partitions.scatter import frame_of
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.errors import CheckpointError
from price_fusion.models.unit_prices import unit_price_columns
from price_fusion.parameters import Source
from price_fusion.storage.partitions.parts import PartitionPlan, Partitions, Summary, Tables, recipe
from price_fusion.training.code_digest import code_digest

if TYPE_CHECKING:
    from price_fusion.models.checkpoint import Checkpoint
    from price_fusion.prediction.ensemble import Ensemble
    from price_fusion.prediction.predictor import Precision, Predictor


@dataclass(frozen=True)
class PackedModel:
    """A model for workers, each of which loads it once: a checkpoint as bytes, or the folder of an ensemble, which all see."""

    digest: str
    precision: Precision
    sources: Mapping[str, Source]
    contents: bytes | None = None
    folder: Path | None = None

    def __hash__(self) -> int:
        return hash((self.digest, self.precision))


def packed(model: Checkpoint | Ensemble, precision: Precision = "float32") -> PackedModel:
    """A checkpoint or an ensemble, packed."""
    from price_fusion.models.checkpoint import Checkpoint, checkpoint_bytes

    if isinstance(model, Checkpoint):
        contents = checkpoint_bytes(model)
        digest = hashlib.sha256(contents).hexdigest()
        return PackedModel(digest, precision, model.header.sources, contents=contents)
    return PackedModel(model.digest, precision, model.sources, folder=model.folder.resolve())


@lru_cache(maxsize=1)
def _loaded(model: PackedModel) -> Predictor:
    from price_fusion.models.checkpoint import checkpoint_of
    from price_fusion.prediction.ensemble import load_ensemble
    from price_fusion.prediction.predictor import Predictor

    if model.contents is not None:
        return Predictor(checkpoint_of(model.contents), model.precision)
    assert model.folder is not None  # noqa: S101 - for the type checker
    ensemble = load_ensemble(model.folder, model.precision)
    if ensemble.digest != model.digest:
        raise CheckpointError(
            f"{model.folder}: has become another ensemble while this run was using it. Give the same command again."
        )
    return Predictor(ensemble)


@dataclass(frozen=True)
class PartitionPrediction:
    """The task of a partition: prices of all of its products."""

    model: PackedModel
    samples: Partitions
    tables: Mapping[str, TablePartitions]
    levels: tuple[float, ...]

    def __call__(self, partition: int) -> tuple[Tables, Summary]:
        """The products of a partition with predicted prices and bounds, as ``Predictor.price_samples`` gives them."""
        from price_fusion.models.device import one_thread

        samples = frame_of(self.samples, partition, ["sample_id", "row"])
        tables = {name: self.tables[name].partition(partition) for name in self.model.sources}
        with one_thread():
            prices = _loaded(self.model).price_samples(samples, tables, self.levels)
        prices.insert(0, "row", samples["row"].to_numpy())
        prices.insert(0, "sample_id", samples["sample_id"].to_numpy())
        return {partition: pa.Table.from_pandas(prices, preserve_index=False)}, {"rows": len(prices)}

    def plan(self) -> PartitionPlan:
        """Prices in partitions: ``sample_id``, ``row`` (of the product file), ``price`` in currency units, bounds of intervals, unit prices."""
        metadata = {"levels": list(self.levels), "unit_prices": list(unit_price_columns(self.model.sources))}
        described = {
            "model": self.model.digest,
            "precision": self.model.precision,
            "samples": self.samples.fingerprint,
            "tables": {name: table.fingerprint for name, table in self.tables.items()},
            "levels": self.levels,
            "code": code_digest(),
        }
        return PartitionPlan(self, self.samples.count, self.samples.count, recipe("prices", described), metadata)
