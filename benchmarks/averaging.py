"""The average of weights at several sizes of data: with its ramp, without it, and the median price beside both.

    PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines ingest
    python benchmarks/averaging.py

Each draw takes so many labelled rows outside an outer fold, fits each variant on them with and without ``ema_ramp``, and
scores the products of that fold. The outer folds are those of benchmarks/accuracy.py.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import VARIANTS, Bench, add_bench_arguments, opened_bench
from common import (
    Column,
    Goal,
    ResultTable,
    console,
    parse_arguments,
    start,
)
from contenders import predict_with_median, predict_with_variant
from draws import drawn, interval_of_mean
from outer_folds import OUTER_FOLDS, SEED, OuterFold
from price_fusion.metrics.bootstrap import paired_difference
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.parameters import VariantParameters

COLUMNS = (
    Column("variant", "variant"),
    Column("rows", "train rows", ",.0f"),
    Column("draws", "draws", "d"),
    Column("median", "median price, SMAPE %", ".2f"),
    Column("before", "without ramp, SMAPE %", ".2f"),
    Column("ramp", "with ramp, SMAPE %", ".2f"),
    Column("against", "ramp - without, points", "+.2f"),
    Column("low", "95 % from", "+.2f"),
    Column("high", "to", "+.2f"),
    Column("against_median", "ramp - median, points", "+.2f"),
    Column("median_high", "95 % to", "+.2f"),
)
SMOKE = {"sizes": [60], "draws": 2, "variants": ["two_branch"], "epochs": 1}
ALLOWED_LOSS = 0.5
"""Points of SMAPE that the ramp may cost where all rows are train rows, at the upper end of the interval."""


@dataclass(frozen=True)
class Draw:
    """SMAPE in percent of each product of an outer fold, by way of averaging, and the groups of these products."""

    smape: dict[str, np.ndarray]
    groups: np.ndarray


def measure(bench: Bench, name: str, variant: VariantParameters, outer: OuterFold) -> Draw:
    """One draw of one variant."""
    true = bench.prices[outer.scored]
    ways = {"before": with_ramp(variant, ramp=False), "ramp": with_ramp(variant, ramp=True)}
    prices = {"median": predict_with_median(bench, outer, SEED).prices}
    prices |= {way: predict_with_variant(bench, name, one, outer, SEED).prices for way, one in ways.items()}
    return Draw({way: smape_per_product(found, true) for way, found in prices.items()}, bench.groups[outer.scored])


def with_ramp(variant: VariantParameters, *, ramp: bool) -> VariantParameters:
    """The variant, its average of weights with or without the ramp."""
    return variant.model_copy(update={"train": variant.train.model_copy(update={"ema_ramp": ramp})})


def line(variant: str, rows: float, draws: Sequence[Draw], *, over_draws: bool) -> dict[str, Any]:
    """Figures of one variant at one size.

    Args:
        variant: its name.
        rows: train rows of a draw.
        draws: all of them.
        over_draws: whether intervals are of the mean over draws (Student's t), as where train rows are drawn anew; else
            bootstrapped over groups of products, each of which was scored once.
    """
    means = {way: statistics.mean(float(draw.smape[way].mean()) for draw in draws) for way in draws[0].smape}
    interval = over_draws_interval if over_draws else over_products_interval
    low, high = interval(draws, "before")
    return {
        "variant": variant, "rows": rows, "draws": len(draws), **means,
        "against": means["ramp"] - means["before"], "low": low, "high": high,
        "against_median": means["ramp"] - means["median"], "median_high": interval(draws, "median")[1],
    }  # fmt: skip


def over_draws_interval(draws: Sequence[Draw], other: str) -> tuple[float, float]:
    """95 % interval of the mean difference of SMAPE between the ramp and another way, draws paired."""
    return interval_of_mean([float((draw.smape["ramp"] - draw.smape[other]).mean()) for draw in draws])[1:]


def over_products_interval(draws: Sequence[Draw], other: str) -> tuple[float, float]:
    """95 % interval of the same difference over groups of products."""
    ramp, beside, groups = (
        np.concatenate(parts)
        for parts in zip(*((draw.smape["ramp"], draw.smape[other], draw.groups) for draw in draws), strict=True)
    )
    found = paired_difference(ramp, beside, groups)
    return found.low, found.high


def goals_of(found: dict[str, Any], *, over_draws: bool) -> list[Goal]:
    """What the ramp is for on few rows, and what it may cost on many."""
    label = f"{found['variant']}, {found['rows']:,.0f} rows"
    if not over_draws:
        return [Goal(f"{label}: ramp - without, upper end", ALLOWED_LOSS, found["high"], "points", at_least=False)]
    return [
        Goal(f"{label}: ramp - without, upper end", 0.0, found["high"], "points", at_least=False),
        Goal(f"{label}: ramp - median price, upper end", 0.0, found["median_high"], "points", at_least=False),
    ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", type=int, default=[300, 1_000], help="train rows of a draw")
    parser.add_argument("--draws", type=int, default=10, help="of each size; all rows are fitted once per outer fold")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    add_bench_arguments(parser)
    return parse_arguments(parser, SMOKE)


def main() -> None:
    options = parse()
    start("averaging")
    with opened_bench(options, "averaging", "The average of weights") as (bench, section):
        lines = []
        for size in [*options.sizes, None]:
            for name in options.variants:
                variant = bench.configuration.variants[name]
                count = options.draws if size else OUTER_FOLDS
                folds = [bench.outer_folds[draw % OUTER_FOLDS] for draw in range(count)]
                outers = [drawn(fold, size, draw) if size else fold for draw, fold in enumerate(folds)]
                draws = [measure(bench, name, variant, outer) for outer in outers]
                rows = statistics.mean(len(outer.others) for outer in outers)
                lines.append(line(name, rows, draws, over_draws=size is not None))
                section.goals += goals_of(lines[-1], over_draws=size is not None)
                console.print(f"{name}, {rows:,.0f} rows: {lines[-1]['against']:+.2f} points", highlight=False)
        notes = [
            "a draw: train rows drawn from four outer folds of benchmarks/accuracy.py, all products of the fifth scored; "
            f"with all rows, each of the {OUTER_FOLDS} outer folds is scored once",
            "intervals: paired, over draws (Student's t) where rows are drawn; with all rows over groups of products",
        ]
        section.tables.append(ResultTable("With and without the ramp", COLUMNS, lines, notes))
        section.finish(options)


if __name__ == "__main__":
    main()
