"""Products, tables and parameters that the benchmarks on accuracy work with, and their options.

The products are those of an environment of ``conf``, or random ones for smoke tests.
"""

from __future__ import annotations

import price_fusion  # noqa: F401  # isort: skip - before torch: it sets how torch's threads wait

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import rich
import torch
import yaml
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from common import REPOSITORY, Section, random_samples, scratch_folder, write_random_tables
from outer_folds import OuterFold, Rows, outer_folds
from price_fusion.data.columns import draft_columns
from price_fusion.data.table import EmbeddingTable, write_table
from price_fusion.errors import DataError
from price_fusion.parameters import (
    ColumnSourceParameters,
    ComparisonParameters,
    EnsembleParameters,
    SourceParameters,
    SplittingParameters,
    VariantParameters,
)

VARIANTS = ("two_branch", "moe", "four_branch", "hierarchical")
SMOKE_ROWS = 400
SMOKE_SOURCES = {
    "word_svd": SourceParameters(width=32, group="full"),
    "char_svd": SourceParameters(width=35, group="full", structural_columns=3),
}

Values = NDArray[np.float64]


class Data(NamedTuple):
    """Products of an environment of ``conf``."""

    name: str
    command: str
    """Makes their tables."""


DATA = {
    "amazon_subset": Data(
        "real products of the Amazon ML Challenge 2025 (subset)",
        "PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines ingest",
    ),
    "base": Data("the fabricated sample", "kedro run --pipelines fabricate && kedro run --pipelines ingest"),
}
"""By environment."""


@dataclass(frozen=True)
class Configuration:
    """Parameters as ``conf`` has them for the real products."""

    variants: Mapping[str, VariantParameters]
    reference: Mapping[str, VariantParameters]
    """The reference's hyper-parameters and sources."""
    ensemble: EnsembleParameters
    splitting: SplittingParameters
    rounds: int
    """Trees at most."""


@dataclass(frozen=True)
class Bench:
    """All that models work with."""

    samples: pd.DataFrame
    tables: Mapping[str, EmbeddingTable]
    configuration: Configuration
    records: Path
    """Folder of the records."""
    threads: int
    """0: all cores."""

    @cached_property
    def prices(self) -> Values:
        """True ones, (N,) in USD."""
        return self.samples["price"].to_numpy(np.float64)

    @cached_property
    def groups(self) -> Rows:
        """(N,) of what belongs together."""
        return self.samples["group_key"].to_numpy(np.int64)

    @cached_property
    def outer_folds(self) -> list[OuterFold]:
        """All of them."""
        return outer_folds(self.samples, self.configuration.splitting)

    @property
    def estimator_options(self) -> ComparisonParameters:
        """What fitting an estimator may spend."""
        return ComparisonParameters(boosting_rounds=self.configuration.rounds, boosting_threads=self.threads)

    def models_folder(self, fold: int) -> Path:
        """Fold models of ensembles under way."""
        return self.records / f"models-of-fold-{fold}"

    def sources(self, names: Sequence[str]) -> dict[str, EmbeddingTable]:
        """Tables of some sources, in their order."""
        return {name: self.tables[name] for name in names}


def load_products(folder: Path, environment: str) -> tuple[pd.DataFrame, dict[str, EmbeddingTable]]:
    """Samples and tables as ``ingest`` left them in an environment of ``conf``.

    Raises:
        SystemExit: saying how to make them, if they are not there.
    """
    primary, declared = folder / "03_primary", declared_variants(environment)
    names = dict.fromkeys(source for variant in VARIANTS for source in declared[variant]["sources"])
    try:
        samples = pd.read_parquet(primary / "train_samples.parquet")
        tables = {name: EmbeddingTable(primary / "tables" / name / "train") for name in names}
    except (DataError, OSError) as error:
        raise SystemExit(f"{error}\nMake the tables with\n  {DATA[environment].command}") from error
    return samples, tables


def fabricated_products(folder: Path) -> tuple[pd.DataFrame, dict[str, EmbeddingTable]]:
    """Random products, for smoke tests."""
    samples = random_samples(SMOKE_ROWS, [*SMOKE_SOURCES, "quantity"])
    tables = write_random_tables(folder, SMOKE_SOURCES, SMOKE_ROWS)
    amounts = np.random.default_rng(99).lognormal(2, 1, SMOKE_ROWS)
    products = pd.DataFrame({"sample_id": samples["sample_id"], "amount": amounts.astype(str)})
    declaration = ColumnSourceParameters(kind="columns", group="quantity", numeric=("amount",))
    write_table(folder / "quantity", "quantity", draft_columns(products, declaration, "random products"))
    return samples, tables | {"quantity": EmbeddingTable(folder / "quantity")}


def read_conf(path: str) -> dict[str, Any]:
    """A YAML file below ``conf``."""
    contents: dict[str, Any] = yaml.safe_load((REPOSITORY / "conf" / path).read_text(encoding="utf-8"))
    return contents


def declared_variants(environment: str) -> dict[str, Any]:
    """Parameters of variants in an environment of ``conf``."""
    base = read_conf("base/training/parameters.yml")
    return base if environment == "base" else merged(base, read_conf(f"{environment}/parameters.yml"))


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of one environment over those of another, as Kedro merges them."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def configuration(options: argparse.Namespace, tables: Mapping[str, EmbeddingTable]) -> Configuration:
    """As ``kedro run --env <environment>`` would have it; ``reference`` as with conf/reference over it."""
    ours = declared_variants(options.environment)
    theirs = merged(ours, read_conf("reference/parameters.yml"))
    for name in VARIANTS:
        theirs[name]["sources"] = [source for source in ours[name]["sources"] if not is_of_columns(tables, source)]
    ensemble = read_conf("base/ensembling/parameters.yml")["ensemble"]
    splitting = read_conf("base/splitting/parameters.yml")["splitting"]
    if options.smoke:
        members = [*options.variants, "ridge"]
        ensemble |= {"preset": "quick", "presets": {"quick": {"members": members}}}
        splitting["folds"] = 2
    return Configuration(
        variants={name: parsed_variant(ours[name], options.epochs) for name in VARIANTS},
        reference={name: parsed_variant(theirs[name], options.epochs) for name in VARIANTS},
        ensemble=EnsembleParameters.model_validate(ensemble),
        splitting=SplittingParameters.model_validate(splitting),
        rounds=read_conf("base/comparison/parameters.yml")["comparison"]["boosting_rounds"],
    )


def is_of_columns(tables: Mapping[str, EmbeddingTable], source: str) -> bool:
    """Whether a source is read from columns of the product table; the reference knows none of them."""
    return source in tables and isinstance(tables[source].declaration, ColumnSourceParameters)


def parsed_variant(declared: Mapping[str, Any], epochs: int | None) -> VariantParameters:
    """A variant, with other epochs if some are given."""
    return VariantParameters.model_validate(merged(declared, {"train": {"epochs": epochs}} if epochs else {}))


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of every benchmark that works on a ``Bench``."""
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--epochs", type=int, help="of networks, at most (default: as the variants say)")
    parser.add_argument(
        "--environment", choices=DATA, default="amazon_subset", help="of conf, whose products are taken"
    )
    parser.add_argument("--data", type=Path, default=REPOSITORY / "data/amazon_subset", help="where ingest wrote to")


@contextmanager
def opened_bench(options: argparse.Namespace, name: str, title: str) -> Iterator[tuple[Bench, Section]]:
    """Products, configuration and a folder of records named ``name``, and the section that is to be filled."""
    rich.get_console().quiet = True  # the trainer's own output
    with scratch_folder(options) as scratch, limited_threads(options.threads):
        samples, tables = (
            fabricated_products(Path(scratch)) if options.smoke else load_products(options.data, options.environment)
        )
        records = options.output / name if options.smoke else options.data / "benchmarks" / name
        records.mkdir(parents=True, exist_ok=True)
        products = "random products" if options.smoke else DATA[options.environment].name
        bench = Bench(samples, tables, configuration(options, tables), records, options.threads)
        yield bench, Section(name, title, f"{products}, {len(samples):,} labelled")


def limited_threads(threads: int) -> AbstractContextManager[Any]:
    """So many threads of linear algebra and of torch; 0: as it is."""
    if not threads:
        return nullcontext()
    torch.set_num_threads(threads)
    limited: AbstractContextManager[Any] = threadpool_limits(threads)
    return limited
