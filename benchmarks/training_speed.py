"""Rows a second of training: ours, a plain loop in the same run, and what the arithmetic allows.

    python benchmarks/training_speed.py

Random tables of the reference's widths are written to a temporary folder as ingestion writes them, and mapped from there.
"""

from __future__ import annotations

import price_fusion  # noqa: F401  # isort: skip - before torch: it sets how torch's threads wait

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import VARIANTS
from common import (
    Column,
    Goal,
    ResultTable,
    Section,
    console,
    declared_sources,
    declared_variant,
    parse_arguments,
    random_samples,
    random_split,
    read_yaml,
    scratch_folder,
    start,
    write_random_tables,
)
from epochs import timed_epochs
from peaks import Peaks, measure_peaks
from plain_loop import PlainTraining, ProductItems
from price_fusion.data.table import EmbeddingTable
from price_fusion.models.estimators.boosting import LIGHTGBM_PARAMETERS
from price_fusion.parameters import TrainParameters, VariantParameters
from price_fusion.training.auto import resolved
from price_fusion.training.initial_model import prepare_model
from price_fusion.training.loader.training_data import TrainingData, training_data
from timing import Timings

SHARE_GOAL, RATIO_GOAL = 80.0, 3.0
"""Percent of what the peaks allow; times the plain loop."""
WHOLE = (75_000, 750_000)
"""Train rows of trainings whose time is computed."""
SMOKE = {
    "rows": 600,
    "repeats": 1,
    "plain_steps": 1,
    "growth": [300, 600],
    "growth_part": 300,
    "lightgbm_trees": 2,
    "peak_seconds": 0.2,
}


@dataclass(frozen=True)
class Workload:
    """A variant and tables to train it on."""

    name: str
    variant: VariantParameters
    samples: pd.DataFrame
    tables: dict[str, EmbeddingTable]
    data: TrainingData

    @property
    def batch_size(self) -> int:
        """Rows of a step."""
        return min(self.variant.train.batch_size, len(self.data.train))


@contextmanager
def workload(name: str, options: argparse.Namespace, rows: int, train_rows: int) -> Iterator[Workload]:
    """Tables of a variant's sources in a temporary folder, of which some rows are train rows."""
    variant = declared_variant(name)
    sources = {source: declared_sources()[source] for source in variant.sources}
    with scratch_folder(options) as folder:
        tables = write_random_tables(Path(folder), sources, rows)
        samples = random_samples(rows, list(sources))
        data = training_data(samples, random_split(rows, train_rows), tables, "cpu")
        yield Workload(name, variant, samples, tables, data)


def compare_loops(work: Workload, options: argparse.Namespace, peaks: Peaks) -> dict[str, Any]:
    """Our training and the plain loop in turn, so that what disturbs one disturbs the other."""
    items = ProductItems(work.samples, work.tables, len(work.samples))
    plain = PlainTraining(prepare_model(work.variant, work.data), items, work.variant.train)
    plain_times = Timings(f"the plain loop of {work.name}", options.plain_steps * plain.batch_size)
    plain.run(1)

    def plain_repeat() -> None:
        plain_times.add(lambda: plain.run(options.plain_steps))
        console.print(f"{work.name}: repeat {len(plain_times.seconds)} of {options.repeats}", style="dim")

    trainer, times, _ = timed_epochs(work.name, work.variant, work.data, options.repeats, between=plain_repeat)
    parameters = sum(weight.numel() for weight in trainer.model.parameters())
    precision = "bf16" if trainer.loop.bf16 else "float32"
    flop = counted_flop(work.variant, work.data, work.batch_size)
    allowed = peaks.training_rate(parameters, work.batch_size, precision)
    allowed_counted = peaks.training_rate(parameters, work.batch_size, precision, flop)
    rate = times.rate(allowed_counted)
    plain_rate = plain_times.rate(peaks.training_rate(parameters, plain.batch_size, "float32", flop))
    return {
        "variant": work.name,
        "parameters": parameters,
        "precision": precision,
        "rate": rate,
        "spread": 100 * times.spread,
        "plain_rate": plain_rate,
        "ratio": rate / plain_rate,
        "allowed": allowed,
        "share": 100 * rate / allowed,
        "excess": flop / (6 * parameters),
        "allowed_counted": allowed_counted,
        "share_counted": 100 * rate / allowed_counted,
    }


def counted_flop(variant: VariantParameters, data: TrainingData, batch_size: int) -> float:
    """Floating-point operations a row of a step's matrix products, forward and backward, as torch counts them."""
    model = prepare_model(variant, data).to(data.device).train()
    with FlopCounterMode(display=False) as counter:
        model(data.features.batch(data.train[:batch_size], data.device)).sum().backward()
    return counter.get_total_flops() / batch_size


def comparison_tables(rows: Sequence[dict[str, Any]], options: argparse.Namespace, peaks: Peaks) -> list[ResultTable]:
    """Our training beside the plain loop, and beside the allowed rates."""
    columns = (
        Column("variant", "variant"),
        Column("parameters", "parameters", ",.0f"),
        Column("precision", "multiplies in"),
        Column("rate", "price-fusion, rows/s", ",.0f"),
        Column("spread", "spread, %", ".0f"),
        Column("plain_rate", "plain loop, rows/s", ",.0f"),
        Column("ratio", "price-fusion / plain", ".1f"),
    )
    notes = [
        f"price-fusion: median of {options.repeats} epochs of one training, after one that is not counted, over the train rows of "
        f"{options.rows:,}; validation on 1 % of the rows included; spread is (slowest - fastest) / median",
        f"plain loop: median of {options.repeats} runs of {options.plain_steps} steps, in turn with our epochs; "
        "float32, DataLoader (no workers) over per-item dictionaries, AdamW not fused, no averaging",
    ]
    beside_plain = ResultTable("Training beside a plain loop", columns, rows, notes)
    columns = (
        Column("variant", "variant"),
        Column("rate", "price-fusion, rows/s", ",.0f"),
        Column("allowed", "allowed (6 P), rows/s", ",.0f"),
        Column("share", "share of it, %", ".0f"),
        Column("excess", "flop counted / 6 P", ".2f"),
        Column("allowed_counted", "allowed (counted), rows/s", ",.0f"),
        Column("share_counted", "share of it, %", ".0f"),
    )
    notes = [
        f"peaks in this process: {peaks.float32 / 1e9:,.0f} GFLOP/s in float32, {peaks.bf16 / 1e9:,.0f} in bf16, copying "
        f"{peaks.copy / 1e9:.1f} GB/s (read and written)",
        "allowed (6 P): B / (6 B P / peak + 28 P bytes / copy rate) with batch B and P parameters",
        "allowed (counted): with the operations that torch counts in a step in place of 6 B P: attention uses its weights "
        "once a token, not once a row",
    ]
    return [beside_plain, ResultTable("Training beside what the arithmetic allows", columns, rows, notes)]


def whole_trainings(rows: Sequence[dict[str, Any]]) -> ResultTable:
    """Seconds of trainings on more rows, by the rate that was measured and the epochs that follow from the rows."""
    lines, project = [], read_yaml("training/parameters.yml")
    for row in rows:
        variant = declared_variant(row["variant"])
        for count in WHOLE:
            epochs = resolved(TrainParameters.model_validate(project[row["variant"]]["train"]), count).epochs
            numbers = sum(declared_sources()[source].width for source in variant.sources)
            seconds = epochs * count / row["rate"]
            lines.append(
                {
                    "variant": row["variant"],
                    "rows": count,
                    "epochs": epochs,
                    "seconds": seconds,
                    "gb": 2e-9 * numbers * count,
                }
            )
    columns = (
        Column("variant", "variant"),
        Column("rows", "train rows", ",.0f"),
        Column("epochs", "epochs", ",.0f"),
        Column("seconds", "training, s", ",.0f"),
        Column("gb", "features, GB", ",.1f"),
    )
    notes = [
        "computed from rows/s above, for the epochs of conf/base; features in float16, in the page cache while they fit"
    ]
    return ResultTable("Whole trainings, computed", columns, lines, notes)


def growth_table(options: argparse.Namespace, peaks: Peaks) -> ResultTable:
    """Rows a second of one variant as its tables grow."""
    rows: list[dict[str, Any]] = []
    for count in options.growth:
        train_rows = min(count - max(1, count // 100), options.growth_part)
        started = perf_counter()
        with workload(options.growth_variant, options, count, train_rows) as work:
            written = perf_counter() - started
            trainer, times, _ = timed_epochs(work.name, work.variant, work.data, options.repeats)
            flop = counted_flop(work.variant, work.data, work.batch_size)
            precision = "bf16" if trainer.loop.bf16 else "float32"
            size = sum(shard.nbytes for table in work.tables.values() for shard in table.vectors)
        parameters = sum(weight.numel() for weight in trainer.model.parameters())
        rate = times.rate(peaks.training_rate(parameters, work.batch_size, precision, flop))
        row = {"rows": count, "megabytes": size / 1e6, "measured": train_rows, "rate": rate, "epoch": count / rate}
        rows.append(row | {"relative": rate / (rows[0]["rate"] if rows else rate)})
        console.print(f"{count:,} rows: tables written in {written:.0f} s, {rate:,.0f} rows/s", style="dim")
    columns = (
        Column("rows", "rows of the tables", ",.0f"),
        Column("megabytes", "vectors, MB", ",.0f"),
        Column("measured", "train rows an epoch", ",.0f"),
        Column("rate", "rows/s", ",.0f"),
        Column("relative", "of the first", ".2f"),
        Column("epoch", "s an epoch of all rows", ",.1f"),
    )
    sources = ", ".join(declared_variant(options.growth_variant).sources)
    notes = [
        f"{options.growth_variant} with its sources ({sources}); medians of {options.repeats} epochs over train rows drawn "
        "at random from the whole tables; vectors repeat after 16,384 rows, the files are as long as they say",
    ]
    return ResultTable("Growth with the number of rows", columns, rows, notes)


def lightgbm_table(work: Workload, options: argparse.Namespace, rate: float) -> ResultTable | None:
    """Seconds of LightGBM on the same rows, or None where it is not installed."""
    try:
        import lightgbm
    except ImportError:
        console.print("lightgbm is not installed: left out", style="yellow")
        return None
    parts = [np.hstack([table.vectors[0], table.structural]).astype(np.float32) for table in work.tables.values()]
    chosen = work.data.train.numpy()
    matrix, target = np.hstack(parts)[chosen], np.log1p(work.samples["price"].to_numpy())[chosen]
    parameters = LIGHTGBM_PARAMETERS | {"num_threads": torch.get_num_threads()}
    started = perf_counter()
    dataset = lightgbm.Dataset(matrix, target, params=parameters).construct()
    binned = perf_counter()
    lightgbm.train(parameters, dataset, num_boost_round=options.lightgbm_trees)
    ended = perf_counter()
    row = {
        "rows": len(matrix),
        "columns": matrix.shape[1],
        "trees": options.lightgbm_trees,
        "binning": binned - started,
        "boosting": ended - binned,
        "per_hundred": 100 * (ended - binned) / options.lightgbm_trees,
        "epoch": len(matrix) / rate,
    }
    columns = (
        Column("rows", "rows", ",.0f"),
        Column("columns", "columns", ",.0f"),
        Column("trees", "trees", ",.0f"),
        Column("binning", "binning, s", ".1f"),
        Column("boosting", "boosting, s", ".1f"),
        Column("per_hundred", "s a hundred trees", ".1f"),
        Column("epoch", f"{work.name}: s an epoch", ".1f"),
    )
    notes = ["LightGBM with the settings of the leaderboard's baseline, a fixed number of trees and no early stopping"]
    return ResultTable("LightGBM on the same rows", columns, [row], notes)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--rows", type=int, default=75_000, help="of the tables, nearly all of them train rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain-steps", type=int, default=40, help="of the plain loop, per repeat")
    parser.add_argument("--growth", type=int, nargs="*", default=[7_500, 75_000, 750_000], help="sizes; none: left out")
    parser.add_argument("--growth-part", type=int, default=30_000, help="train rows of an epoch, at most")
    parser.add_argument("--growth-variant", default="moe")
    parser.add_argument("--lightgbm-trees", type=int, default=100, help="0: left out")
    parser.add_argument("--peak-seconds", type=float, default=0.3, help="of measuring each peak")
    return parse_arguments(parser, SMOKE)


def main() -> None:
    options = parse()
    start("training speed")
    section = Section(
        "training_speed",
        "Training",
        f"random float16 tables of the reference's widths, {options.rows:,} rows, memory-mapped from a temporary folder",
    )
    peaks = measure_peaks(options.peak_seconds, small=options.smoke)
    rows, extra = [], None
    for name in options.variants:
        with workload(name, options, options.rows, options.rows - max(1, options.rows // 100)) as work:
            rows.append(compare_loops(work, options, peaks))
            if options.lightgbm_trees and name == options.growth_variant:
                extra = lightgbm_table(work, options, rows[-1]["rate"])
        section.goals += [
            Goal(f"{name}: share of what the peaks allow (6 P)", SHARE_GOAL, rows[-1]["share"], "%"),
            Goal(f"{name}: price-fusion / plain loop", RATIO_GOAL, rows[-1]["ratio"], "times"),
        ]
    section.tables += comparison_tables(rows, options, peaks)
    section.tables.append(whole_trainings(rows))
    if options.growth:
        section.tables.append(growth_table(options, peaks))
    section.tables += [extra] if extra else []
    section.finish(options)


if __name__ == "__main__":
    main()
