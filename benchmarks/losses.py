"""Which loss gives the best prices: each one trained on the real products, over several seeds.

    PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines ingest
    python benchmarks/losses.py
    python benchmarks/losses.py --sources all

A seed draws the split, the weights and the order of the rows. What the JSON already has is not trained again, unless the
configuration, the data or the rows of a record are others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import pandas as pd
import rich

from common import (
    REPOSITORY,
    Column,
    ResultTable,
    Section,
    console,
    declared_variant,
    parse_arguments,
    random_samples,
    read_yaml,
    revision,
    scratch_folder,
    start,
    write_random_tables,
)
from price_fusion.data.splits import split_samples
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import DataError, TrainingError
from price_fusion.metrics.price_metrics import price_metrics
from price_fusion.models.losses import LOSSES
from price_fusion.parameters import SourceParameters, SplittingParameters, VariantParameters
from price_fusion.prediction.predictor import Predictor
from price_fusion.training.loader.training_data import training_data
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import train_variant

SMOKE = {"variants": ["two_branch"], "losses": ["log_mae", "smape"], "seeds": [1, 2], "epochs": 1}
SMOKE_SOURCES = {
    "word_svd": SourceParameters(width=32, group="full"),
    "char_svd": SourceParameters(width=35, group="full", structural_columns=3),
}

Record = dict[str, Any]


@dataclass(frozen=True)
class Products:
    """Labelled products and the tables of the chosen sources."""

    samples: pd.DataFrame
    tables: dict[str, EmbeddingTable]


@dataclass(frozen=True)
class Combination:
    """One run: a variant with its sources and parameters, a loss and a seed."""

    name: str
    variant: VariantParameters
    loss: str
    seed: int
    settings: str
    """Digest of all that makes its result, but for code, loss and seed."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from other runs."""
        return (self.name, list(self.variant.sources), self.loss, self.seed, self.settings)


def record_key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """The key of the combination that a record is of."""
    return tuple(record[field] for field in ("variant", "sources", "loss", "seed", "settings"))


# --- what to train --------------------------------------------------------------------------------------------------


def load_products(folder: Path, sources: list[str]) -> Products:
    """Tables and samples as ``ingest`` left them.

    Raises:
        SystemExit: saying how to make them, if they are not there.
    """
    primary = folder / "03_primary"
    try:
        samples = pd.read_parquet(primary / "train_samples.parquet")
        ingested = sorted(path.parent.name for path in (primary / "tables").glob("*/train"))
        chosen = ingested if sources == ["all"] else sources
        tables = {name: EmbeddingTable(primary / "tables" / name / "train") for name in chosen}
    except (DataError, OSError) as error:
        tables = {}
        console.print(str(error), style="yellow", highlight=False)
    if not tables:
        raise SystemExit(
            f"{primary.relative_to(REPOSITORY) if primary.is_relative_to(REPOSITORY) else primary} does not hold the "
            f"sources {', '.join(sources)}. Make them with\n"
            "  PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines ingest"
        )
    return Products(samples, tables)


def fabricated_products(folder: Path) -> Products:
    """Random products, for smoke tests."""
    return Products(random_samples(400, list(SMOKE_SOURCES)), write_random_tables(folder, SMOKE_SOURCES, 400))


def combinations(options: argparse.Namespace, products: Products) -> list[Combination]:
    """All runs, seed by seed, so that what is done so far is comparable at any time."""
    found = []
    for seed, name, loss in product(options.seeds, options.variants, options.losses):
        variant = variant_with(name, products, loss, options.epochs)
        found.append(Combination(name, variant, loss, seed, settings_digest(variant, products)))
    return found


def variant_with(name: str, products: Products, loss: str, epochs: int | None) -> VariantParameters:
    """A variant of ``conf/base`` with other sources and one loss from the first epoch to the last."""
    declared = declared_variant(name)
    train = declared.train.model_dump() | {"loss": loss, "then_loss": None, "then_from_epoch": None, "resume": False}
    if epochs:
        train["epochs"] = epochs
    contents = declared.model_dump() | {"sources": tuple(products.tables), "train": train}
    return VariantParameters.model_validate(contents)


def splitting() -> SplittingParameters:
    """How ``conf/base`` splits."""
    return SplittingParameters.model_validate(read_yaml("splitting/parameters.yml")["splitting"])


def settings_digest(variant: VariantParameters, products: Products) -> str:
    """Digest of parameters, split and data, without the loss."""
    contents = variant.model_dump(mode="json")
    del contents["train"]["loss"]
    tables = {name: table.fingerprint for name, table in products.tables.items()}
    everything = [contents, splitting().model_dump(mode="json"), tables, len(products.samples)]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:12]


# --- training -------------------------------------------------------------------------------------------------------


def measure(combination: Combination, products: Products) -> Record:
    """Train and price the holdout."""
    rules, seed = splitting(), combination.seed
    split_table = split_samples(
        products.samples,
        fractions=rules.fractions,
        price_quantiles=rules.price_quantiles,
        folds=rules.folds,
        tuned_on={},
        seed=seed,
    )
    variant = combination.variant
    record: Record = dict(zip(("variant", "sources", "loss", "seed", "settings"), combination.key, strict=True))
    record["revision"] = revision()
    started = perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="price_fusion_") as folder:
            data = training_data(products.samples, split_table, products.tables, variant.train.device)
            run = RunFolder(Path(folder))
            trained = train_variant(combination.name, variant, data, seed=seed, run=run)
    except TrainingError as error:
        return record | {"failed": str(error).replace(folder, "<run>")}
    chosen = (split_table["split"] == "holdout").to_numpy()
    holdout = products.samples[chosen]
    predicted = Predictor(trained.checkpoint).predict_samples(holdout, products.tables)
    return record | {
        "rows": {str(split): int(count) for split, count in split_table["split"].value_counts().items()},
        "holdout": price_metrics(predicted, holdout["price"].to_numpy()),
        "validation_smape": trained.checkpoint.header.validation["smape"],
        "epochs": len(trained.history),
        "best_epoch": trained.checkpoint.header.epoch,
        "seconds": perf_counter() - started,
    }


def train_what_is_missing(
    wanted: list[Combination], records: list[Record], products: Products, section: Section, options: argparse.Namespace
) -> None:
    """Train combination by combination; the JSON is written after each."""
    done = {json.dumps(record_key(record)) for record in records}
    missing = [each for each in wanted if json.dumps(each.key) not in done]
    console.print(f"{len(wanted) - len(missing)} of {len(wanted)} runs are in the JSON; {len(missing)} to go")
    started = perf_counter()
    for number, combination in enumerate(missing, start=1):
        record = measure(combination, products)
        records.append(record)
        fill(section, records)
        section.write(options)
        left = (perf_counter() - started) / number * (len(missing) - number) / 60
        found = record["failed"] if "failed" in record else f"holdout SMAPE {record['holdout']['smape']:.2f} %"
        label = f"{combination.name}, {combination.loss}, seed {combination.seed}"
        console.print(f"{number}/{len(missing)} {label}: {found}; about {left:.0f} min left", highlight=False)


def earlier_records(options: argparse.Namespace, known: Iterable[str]) -> list[Record]:
    """Records of the JSON; those of other configurations or data are dropped."""
    path = options.output / "losses.json"
    if not path.exists():
        return []
    records = cast("list[Record]", json.loads(path.read_text(encoding="utf-8"))["values"]["records"])
    settings = set(known)
    kept = [
        record
        for record in records
        if record["settings"] in settings
        or not any(record["variant"] in options.variants and record["sources"] == other for other in options.chosen)
    ]
    if len(kept) < len(records):
        console.print(f"{len(records) - len(kept)} record(s) of another configuration or data are dropped")
    return kept


# --- tables ---------------------------------------------------------------------------------------------------------


def fill(section: Section, records: list[Record]) -> None:
    """Tables of all records, one per variant and set of sources."""
    sets = dict.fromkeys((record["variant"], tuple(record["sources"])) for record in records)
    section.tables = [
        loss_table(name, sources, [r for r in records if (r["variant"], tuple(r["sources"])) == (name, sources)])
        for name, sources in sets
    ]
    section.values = {"records": records}


def loss_table(name: str, sources: tuple[str, ...], records: list[Record]) -> ResultTable:
    """Losses from best to worst by mean holdout SMAPE, over the seeds that each has."""
    by_loss: dict[str, dict[int, Record]] = {}
    for record in records:
        if "failed" not in record:
            by_loss.setdefault(record["loss"], {})[record["seed"]] = record
    rows = sorted((summary(loss, runs) for loss, runs in by_loss.items()), key=lambda row: row["smape"])
    best = by_loss[rows[0]["loss"]] if rows else {}
    rows = [row | difference(by_loss[row["loss"]], best) for row in rows]
    failed = [
        f"{record['loss']}, seed {record['seed']}: {record['failed']}" for record in records if "failed" in record
    ]
    columns = (
        Column("loss", "loss"),
        Column("smape", "holdout SMAPE, %", ".2f"),
        Column("deviation", "sd over seeds", ".2f"),
        Column("behind", "behind the best", ".2f"),
        Column("behind_deviation", "sd of that", ".2f"),
        Column("validation", "validation SMAPE, %", ".2f"),
        Column("mae", "holdout MAE, USD", ".2f"),
        Column("seeds", "seeds", "d"),
        Column("epochs", "epochs", ".0f"),
        Column("seconds", "s", ".1f"),
    )
    split = splitting().proportions
    notes = [
        f"split {split} (train/validation/holdout) drawn anew for each seed; means over seeds; the best epoch is chosen on "
        "validation rows, holdout rows are only predicted",
        "behind the best: difference of holdout SMAPE to the first line's loss on the same seed (and so the same rows), its "
        "mean and standard deviation over seeds",
        f"runs of commit(s) {', '.join(sorted({record['revision'] for record in records}))}",
        *failed,
    ]
    return ResultTable(f"Losses: {name} on {', '.join(sources)}", columns, rows, notes)


def summary(loss: str, runs: Mapping[int, Record]) -> dict[str, Any]:
    """Means over the seeds of a loss."""
    smape = [run["holdout"]["smape"] for run in runs.values()]
    return {
        "loss": loss,
        "smape": statistics.mean(smape),
        "deviation": deviation(smape),
        "validation": statistics.mean(run["validation_smape"] for run in runs.values()),
        "mae": statistics.mean(run["holdout"]["mae"] for run in runs.values()),
        "seeds": len(runs),
        "epochs": statistics.mean(run["epochs"] for run in runs.values()),
        "seconds": statistics.mean(run["seconds"] for run in runs.values()),
    }


def difference(runs: Mapping[int, Record], best: Mapping[int, Record]) -> dict[str, float | None]:
    """Paired difference to the best loss, over the seeds that both have."""
    shared = [runs[seed]["holdout"]["smape"] - best[seed]["holdout"]["smape"] for seed in runs if seed in best]
    if not shared:
        return {"behind": None, "behind_deviation": None}
    return {"behind": statistics.mean(shared), "behind_deviation": deviation(shared)}


def deviation(values: list[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=["two_branch", "moe"])
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES), metavar="LOSS")
    parser.add_argument("--seeds", nargs="+", type=int, default=[41, 42, 43])
    parser.add_argument("--sources", nargs="+", default=["word_svd", "char_svd"], help="'all': all that were ingested")
    parser.add_argument("--data", type=Path, default=REPOSITORY / "data/amazon_subset", help="where ingest wrote to")
    parser.add_argument("--epochs", type=int, help="at most (default: as the variants say)")
    return parse_arguments(parser, SMOKE)


def main() -> None:
    options = parse()
    start("losses")
    rich.get_console().quiet = True  # the trainer's own output
    with scratch_folder(options) as scratch:
        products = fabricated_products(Path(scratch)) if options.smoke else load_products(options.data, options.sources)
        options.chosen = [list(products.tables)]
        title = "random products" if options.smoke else "real products of the Amazon ML Challenge 2025 (subset)"
        section = Section("losses", "Losses", f"{title}, {len(products.samples):,} labelled")
        wanted = combinations(options, products)
        records = earlier_records(options, (each.settings for each in wanted))
        train_what_is_missing(wanted, records, products, section, options)
        fill(section, records)
        section.finish(options)


if __name__ == "__main__":
    main()
