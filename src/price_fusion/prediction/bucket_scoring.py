"""Prices bucket by bucket, of products to be predicted and of those that a model is judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from price_fusion.data.buckets.scatter import frame_of
from price_fusion.data.buckets.table_buckets import TableBuckets
from price_fusion.errors import ComparisonError
from price_fusion.evaluation.amount_effect import price_ratios
from price_fusion.evaluation.evaluated import EXTREMES, evaluated_products
from price_fusion.lazy import pd
from price_fusion.metrics.aggregates import coverage_sums, extremes, moments, moments_by_price, ratio_sums
from price_fusion.metrics.intervals import interval_columns
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.models.unit_prices import unit_price_columns
from price_fusion.parameters import Source
from price_fusion.storage.buckets.parts import BucketPlan, Buckets, Summary, Tables
from price_fusion.storage.buckets.recipes import recipe
from price_fusion.training.code_digest import code_digest

if TYPE_CHECKING:
    from price_fusion.prediction.predictor import Precision, Predictor


@dataclass(frozen=True)
class PackedModel:
    """A checkpoint as bytes, so that it reaches workers that do not see its file; each loads it once."""

    contents: bytes
    digest: str
    precision: Precision

    def predictor(self) -> Predictor:
        """Ready to predict."""
        return _loaded(self)

    def __hash__(self) -> int:
        return hash((self.digest, self.precision))


def packed(contents: bytes, precision: Precision = "float32") -> PackedModel:
    """A checkpoint's bytes, packed."""
    return PackedModel(contents, hashlib.sha256(contents).hexdigest(), precision)


@lru_cache(maxsize=1)
def _loaded(model: PackedModel) -> Predictor:
    from price_fusion.models.checkpoint import checkpoint_of
    from price_fusion.prediction.predictor import Predictor

    return Predictor(checkpoint_of(model.contents), model.precision)


@dataclass(frozen=True)
class BucketPrediction:
    """The task of a bucket: prices of all of its products."""

    model: PackedModel
    samples: Buckets
    tables: Mapping[str, TableBuckets]
    levels: tuple[float, ...]

    def __call__(self, bucket: int) -> tuple[Tables, Summary]:
        """The products of a bucket with predicted prices."""
        samples = frame_of(self.samples, bucket)
        prices = self.predicted(samples, bucket)
        prices.insert(0, "row", samples["row"].to_numpy())
        prices.insert(0, "sample_id", samples["sample_id"].to_numpy())
        return {bucket: pa.Table.from_pandas(prices, preserve_index=False)}, {"rows": len(prices)}

    def predicted(self, samples: pd.DataFrame, bucket: int, *, twice: bool = False) -> pd.DataFrame:
        """Prices and bounds of some products of a bucket, as ``Predictor.price_samples`` gives them."""
        from price_fusion.models.device import one_thread

        predictor = self.model.predictor()
        tables = {name: self.tables[name].bucket(bucket) for name in predictor.model.sources}
        with one_thread():
            return predictor.price_samples(samples, tables, self.levels, twice=twice)

    def plan(self, kind: str, metadata: Mapping[str, Any], **deciding: Any) -> BucketPlan:
        """The table that this task makes, bucket by bucket."""
        described = {
            "model": self.model.digest,
            "precision": self.model.precision,
            "samples": self.samples.fingerprint,
            "tables": {name: table.fingerprint for name, table in self.tables.items()},
            "levels": self.levels,
            "code": code_digest(),
            **deciding,
        }
        return BucketPlan(self, self.samples.count, self.samples.count, recipe(kind, described), metadata)


def prediction_plan(prediction: BucketPrediction, sources: Mapping[str, Source]) -> BucketPlan:
    """Prices in buckets: ``sample_id``, ``row`` (of the product file), ``price``, bounds of intervals, unit prices.

    Args:
        prediction: the task.
        sources: of the model.
    """
    unit_prices = list(unit_price_columns(sources))
    return prediction.plan("prices", {"levels": list(prediction.levels), "unit_prices": unit_prices})


@dataclass(frozen=True)
class BucketEvaluation(BucketPrediction):
    """The task of a bucket: prices of the products that report, what came of them, and figures to be merged."""

    split: str
    price_groups: PriceGroups

    def __call__(self, bucket: int) -> tuple[Tables, Summary]:
        """The evaluated products of a bucket, and their figures."""
        samples = frame_of(self.samples, bucket)
        chosen = samples[samples["split"] == self.split]
        results = evaluated_products(chosen, self.split, self.predicted(chosen, bucket, twice=True))
        results = results.assign(row=chosen["row"].to_numpy())
        return {bucket: pa.Table.from_pandas(results, preserve_index=False)}, summary_of(
            results, self.levels, self.price_groups
        )


def evaluation_plan(evaluation: BucketEvaluation, trained_on: Mapping[str, str]) -> BucketPlan:
    """Evaluated products in buckets; figures of each bucket are in its summary.

    Args:
        evaluation: the task.
        trained_on: fingerprints of the data of the model.

    Raises:
        ComparisonError: if the model was trained on other samples: what is held out now may be among its train rows.
    """
    if trained_on.get("samples") != evaluation.samples.fingerprint:
        raise ComparisonError(
            f"{evaluation.samples.url}: not the samples that the model was trained on: rows that are held out now may be among "
            "those that it was fitted on, and its figures would flatter it. Train it again on these (kedro run --pipelines "
            "train_<variant>), or make its own again (with the seed, the splitting parameters and the files of that time)."
        )
    return evaluation.plan(
        f"evaluation of {evaluation.split}",
        {"split": evaluation.split, "levels": list(evaluation.levels)},
        price_groups=evaluation.price_groups.model_dump(mode="json"),
    )


def reported_split(samples: Buckets) -> str:
    """The split that evaluations report: ``holdout``, or ``validation`` where there is no holdout."""
    return "holdout" if any(part["splits"]["holdout"] for part in samples.summaries) else "validation"


def summary_of(results: pd.DataFrame, levels: Sequence[float], price_groups: PriceGroups) -> dict[str, Any]:
    """What is remembered of evaluated products: sums, extremes and sketches."""
    predicted, price = results["predicted"].to_numpy(), results["price"].to_numpy()
    tuned = results["tuned_on"].to_numpy(dtype=bool)
    calibrated = bool(levels) and interval_columns(levels)[0][0] in results
    return {
        "all": moments(predicted, price),
        "seen": moments(predicted[tuned], price[tuned]),
        "unseen": moments(predicted[~tuned], price[~tuned]),
        "by_price": moments_by_price(predicted, price, price_groups),
        "ratios_of_twice": ratio_sums(price_ratios(results)),
        "extremes": extremes(results.drop(columns=["split", "tuned_on"]), EXTREMES),
        "coverage": coverage_sums(results, levels, price_groups) if calibrated else None,
    }
