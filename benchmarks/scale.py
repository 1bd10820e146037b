"""Aligning, predicting and training on products in partitions: seconds and memory, and how both grow.

    python benchmarks/scale.py                                            # 1 million products, and training on 1 million
    python benchmarks/scale.py --rows 1_000_000 10_000_000 --train-rows 10_000_000       # 40 GB of scratch, half an hour

Tables are random and written partition by partition, in the form in which ingestion writes them. Memory is the proportional set size
of this process and its workers together, sampled twice a second.
"""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from common import (
    Column,
    Goal,
    ResultTable,
    Section,
    console,
    declared_sources,
    declared_variant,
    parse_arguments,
    random_matrix,
    scratch_folder,
    start,
)
from price_fusion.compute import executor_of
from price_fusion.data.order import partitions_of
from price_fusion.data.partitions.partition_alignment import PartitionAlignment, alignment_plan, merged_alignment
from price_fusion.data.partitions.table_partitions import TablePartitions, rows_as_arrow, table_metadata
from price_fusion.data.splits import NO_FOLD
from price_fusion.parameters import ComputeParameters, SourceParameters, VariantParameters
from price_fusion.prediction.partition_scoring import PartitionPrediction, packed
from price_fusion.storage.partitions.parts import PartitionPlan, Partitions, Summary, Tables, write_partitions
from timing import Timings

if TYPE_CHECKING:
    from peaks import Peaks
    from price_fusion.models.checkpoint import Checkpoint

SMOKE: dict[str, Any] = {"rows": [4_000], "train_rows": 4_000, "partition_rows": 1_000, "peak_seconds": 0.2}
BLOCK_ROWS = 500_000
"""Rows of a part that is made up at a time."""
SECONDS_GOAL, MEMORY_GOAL = 45.0, 2_000.0
TIME_GROWTH_GOAL, MEMORY_GROWTH_GOAL = 11.0, 1.2
STREAM_GOAL = 80.0


# --- memory -------------------------------------------------------------------------------------------------------------


@dataclass
class Peak:
    """The most memory that this process and its children took together, MB."""

    megabytes: float = 0.0


@contextmanager
def watched() -> Iterator[Peak]:
    """Watch memory while this is open."""
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            peak.megabytes = max(peak.megabytes, sum(_pss(process) for process in _family(os.getpid())) / 1e3)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _family(process: int) -> list[int]:
    """A process and all its descendants."""
    try:
        threads = Path(f"/proc/{process}/task").iterdir()
        children = [int(one) for thread in threads for one in (thread / "children").read_text().split()]
    except OSError:
        return [process]
    return [process, *(one for child in children for one in _family(child))]


def _pss(process: int) -> float:
    """Proportional set size, kB."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return float(next(line.split()[1] for line in lines if line.startswith("Pss:")))


# --- made-up tables -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MadeUp:
    """A block of made-up rows of a source, or of products where there is none, dealt out: the task of a part."""

    rows: int
    partitions: int
    source: SourceParameters | None = None
    pool: np.ndarray | None = field(default=None, repr=False)

    def __call__(self, part: int) -> tuple[Tables, Summary]:
        """Rows of a block, by partition."""
        ids = np.arange(part * BLOCK_ROWS, min((part + 1) * BLOCK_ROWS, self.rows))
        partition = partitions_of(ids, self.partitions)
        order = np.argsort(partition, kind="stable")
        chosen = np.split(ids[order], np.cumsum(np.bincount(partition, minlength=self.partitions))[:-1])
        make = self._products if self.source is None else self._embeddings
        return ((number, make(some)) for number, some in enumerate(chosen)), {"rows": len(ids)}

    def _embeddings(self, ids: np.ndarray) -> pa.Table:
        if self.source is None or self.pool is None:
            raise ValueError("no source")
        values = self.pool[ids * 7 % len(self.pool)]
        width = self.source.embedding_width
        return rows_as_arrow(ids, ids, values[:, :width], values[:, width:].astype(np.float32))

    @staticmethod
    def _products(ids: np.ndarray) -> pa.Table:
        generator = np.random.default_rng(int(ids[0]) if len(ids) else 0)
        split = generator.choice(["train", "validation", "holdout"], len(ids), p=[0.96, 0.02, 0.02])
        return pa.table(
            {
                "sample_id": ids,
                "row": ids,
                "group_key": ids,
                "price": np.exp(generator.normal(2.65, 1.0, len(ids))),
                "split": split,
                "fold": np.where(split == "holdout", NO_FOLD, ids % 5).astype(np.int8),
                "half": (ids % 2).astype(np.int8),
                "tuned_on": np.zeros(len(ids), bool),
            }
        )


def made_up(
    folder: Path, rows: int, partitions: int, compute: ComputeParameters, source: tuple[str, SourceParameters] | None
):
    """Write a made-up table."""
    parts = -(-rows // BLOCK_ROWS)
    if source is None:
        plan = PartitionPlan(MadeUp(rows, partitions), parts, partitions, "", {"labelled": True, "origin": "made up"})
        return write_partitions(str(folder / "products"), plan, executor_of(compute))
    name, declaration = source
    pool = random_matrix(min(rows, 16_381), declaration, seed=len(name))
    task = MadeUp(rows, partitions, declaration, pool)
    plan = PartitionPlan(task, parts, partitions, "", table_metadata(name, declaration, "float16", "made up"))
    return TablePartitions(write_partitions(str(folder / name), plan, executor_of(compute)))


def model_of(variant: VariantParameters, sources: dict[str, SourceParameters]) -> tuple[Checkpoint, int]:
    """A checkpoint with random weights, and how many."""
    from price_fusion.models.build import PriceModel
    from price_fusion.models.checkpoint import Checkpoint, CheckpointHeader

    header = CheckpointHeader(
        variant="two_branch",
        sources=sources,
        dtypes=dict.fromkeys(sources, "float16"),
        model=variant.model,
        median_price=14.0,
        epoch=1,
        validation={},
        data={},
    )
    model = PriceModel(sources, variant.model)
    parameters = sum(weight.numel() for weight in model.parameters())
    return Checkpoint(header, dict(model.state_dict())), parameters


# --- align and predict ----------------------------------------------------------------------------------------------------


def measure(folder: Path, rows: int, options: argparse.Namespace) -> dict[str, Any]:
    """Align and predict so many products."""
    partitions = max(1, rows // options.partition_rows)
    compute = ComputeParameters(partitions=partitions, workers=options.workers)
    variant = declared_variant("two_branch")
    sources = {name: declared_sources()[name] for name in variant.sources}
    began = perf_counter()
    products = made_up(folder, rows, partitions, compute, None)
    tables = {name: made_up(folder, rows, partitions, compute, (name, source)) for name, source in sources.items()}
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1e9
    console.print(
        f"{rows:,} products made up in {perf_counter() - began:.0f} s: {size:.1f} GB, {partitions} partitions"
    )
    checkpoint, parameters = model_of(variant, sources)
    model = packed(checkpoint)
    row: dict[str, Any] = {"rows": rows, "partitions": partitions, "size": size, "parameters": parameters}
    row |= {what: Timings(f"{what}, {rows:,} products", rows) for what in ("align", "predict")}
    with watched() as peak:
        began = perf_counter()
        samples = aligned(folder, products, tables, compute)
        align = perf_counter() - began
        began = perf_counter()
        plan = PartitionPrediction(model, samples, tables, ()).plan()
        predicted = write_partitions(str(folder / "predicted"), plan, executor_of(compute))
        predict = perf_counter() - began
    row["align"].note(samples.rows, align)
    row["predict"].note(predicted.rows, predict)
    return row | {"memory": peak.megabytes}


def checked(row: dict[str, Any], peaks: Peaks) -> dict[str, Any]:
    """Seconds and rates of a measurement, which must be possible.

    Raises:
        ImpossibleFigureError: if they are not: every id is copied at least, and every product multiplied by each weight.
    """
    align = row["align"].median(floor=8 * row["rows"] / peaks.copy)
    rate = row["predict"].rate(ceiling=peaks.scoring_rate(row["parameters"], "float32"))
    predict = row["rows"] / rate
    return row | {"align": align, "predict": predict, "seconds": align + predict, "rate": rate}


def aligned(
    folder: Path, products: Partitions, tables: dict[str, TablePartitions], compute: ComputeParameters
) -> Partitions:
    """The sample table, with its summaries merged."""
    alignment = PartitionAlignment(products, tables, "keep", "keep", "made up")
    samples = write_partitions(str(folder / "samples"), alignment_plan(alignment), executor_of(compute))
    merged_alignment(samples, "keep", "made up")
    return samples


# --- training -----------------------------------------------------------------------------------------------------------


def training_rates(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows a second of an epoch, streamed from partitions and in memory.

    Raises:
        ImpossibleFigureError: if an epoch took steps on other rows than it has, or fewer seconds than it takes to multiply
            by each weight and to compute its gradient (4 P operations a row).
    """
    from epochs import counted_rows, of_epochs
    from price_fusion.training.loader.partition_data import StreamedRows
    from price_fusion.training.processes.partition_training import train_partitions
    from price_fusion.training.run_folder import RunFolder

    rows = options.train_rows
    source = SourceParameters(width=256, group="text")
    partitions = max(1, rows // options.partition_rows)
    compute = ComputeParameters(partitions=partitions, workers=options.workers)
    declared = declared_variant("two_branch").model_dump(mode="json") | {"sources": ["vector"]}
    variant = of_epochs(VariantParameters.model_validate(declared), 1)
    products = made_up(folder, rows, partitions, compute, None)
    tables = {"vector": made_up(folder, rows, partitions, compute, ("vector", source))}
    samples = aligned(folder, products, tables, compute)
    kept = min(rows, options.memory_rows)
    streamed = partial(
        train_partitions, "streamed", variant, samples, tables, StreamedRows({}), seed=1, compute=compute
    )
    runs = (
        ("streamed from partitions", train_rows(samples), lambda run: streamed(run=run)),
        ("in memory", kept - validation_rows(kept), in_memory(variant, source, kept, samples)),
    )
    found: list[dict[str, Any]] = []
    for name, count, train in runs:
        times = Timings(f"an epoch {name}", count)
        with watched() as peak, counted_rows() as trained:
            record = train(RunFolder(folder / name.replace(" ", "_"))).history[-1]
        times.note(trained.rows, record["seconds"])
        found.append({"compute": name, "rows": count, "memory": peak.megabytes, "times": times})
    peaks, (_, parameters) = measured_peaks(options), model_of(variant, {"vector": source})
    ceiling = peaks.training_rate(parameters, variant.train.batch_size, "bf16", flop_per_row=4 * parameters)
    return [row | {"rate": row.pop("times").rate(ceiling)} for row in found]


def train_rows(samples: Partitions) -> int:
    """Train rows of all partitions, by their summaries."""
    return sum(part["splits"]["train"] for part in samples.summaries)


def validation_rows(rows: int) -> int:
    """Of so many rows in memory."""
    return min(rows // 50, 50_000)


def in_memory(
    variant: VariantParameters, source: SourceParameters, rows: int, samples: Partitions
) -> Callable[[Any], Any]:
    """Training of the same model on rows that are in memory, with as many to validate on."""
    import torch

    from price_fusion.models.features import Features, SourceFeatures
    from price_fusion.training.loader.training_data import TrainingData
    from price_fusion.training.trainer import train_variant

    pool = torch.from_numpy(random_matrix(16_381, source, seed=1))
    vectors = pool[torch.arange(rows) * 7 % len(pool)]
    features = Features({"vector": SourceFeatures(vectors, torch.empty(rows, 0), torch.arange(rows))})
    prices = torch.exp(torch.randn(rows) + 2.65)
    validation = validation_rows(rows)
    data = TrainingData(
        features=features,
        prices=prices,
        train=torch.arange(validation, rows),
        validation=torch.arange(validation),
        sources={"vector": source},
        dtypes={"vector": "float16"},
        fingerprints={"samples": samples.fingerprint},
    )

    return lambda run: train_variant("in_memory", variant, data, seed=1, run=run)


# --- all ----------------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000], help="to align and predict")
    parser.add_argument("--train-rows", type=int, default=1_000_000, help="to train on; 0: no training")
    parser.add_argument("--memory-rows", type=int, default=2_000_000, help="at most so many for training in memory")
    parser.add_argument("--partition-rows", type=int, default=31_250)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--peak-seconds", type=float, default=0.3, help="of measuring each peak")
    options = parse_arguments(parser, SMOKE)
    start("scale")
    if options.rows:
        prediction_section(options).finish(options)
    if options.train_rows:
        training_section(options).finish(options)


def measured_peaks(options: argparse.Namespace) -> Peaks:
    """What this machine can do; after the measurements, so that it adds nothing to their memory."""
    from peaks import measure_peaks

    return measure_peaks(options.peak_seconds, small=options.smoke)


def prediction_section(options: argparse.Namespace) -> Section:
    """Seconds and memory of aligning and predicting, and how they grow."""
    section = Section("scale", "Products in partitions", "made-up products x (768 + 1027) float16")
    measured = []
    for rows in options.rows:
        with scratch_folder(options) as folder:
            measured.append(measure(Path(folder), rows, options))
    peaks = measured_peaks(options)
    measured = [checked(row, peaks) for row in measured]
    columns = (
        Column("rows", "products", ",d"),
        Column("partitions", "partitions", ",d"),
        Column("size", "parquet, GB", ".1f"),
        Column("align", "align, s", ".1f"),
        Column("predict", "predict, s", ".1f"),
        Column("seconds", "both, s", ".1f"),
        Column("rate", "predicted rows/s", ",.0f"),
        Column("memory", "peak memory of all processes, MB", ",.0f"),
    )
    section.tables.append(ResultTable("Align and predict (two_branch)", columns, measured))
    first, last = measured[0], measured[-1]
    section.goals += [
        Goal(f"align and predict {first['rows']:,}", SECONDS_GOAL, first["seconds"], "s", at_least=False),
        Goal(f"memory for {first['rows']:,}", MEMORY_GOAL, first["memory"], "MB", at_least=False),
    ]
    if last is not first:
        times = 10 * first["rows"] / last["rows"] * last["seconds"] / first["seconds"]
        section.goals += [
            Goal("time of ten times the products", TIME_GROWTH_GOAL, times, "times", at_least=False),
            Goal("memory of them", MEMORY_GROWTH_GOAL, last["memory"] / first["memory"], "times", at_least=False),
        ]
    return section


def training_section(options: argparse.Namespace) -> Section:
    """Rows a second of training, streamed and in memory."""
    section = Section("scale_training", "Training streamed from partitions", "made-up products x 256 float16")
    with scratch_folder(options) as folder:
        rates = training_rates(Path(folder), options)
    columns = (
        Column("compute", "train rows are"),
        Column("rows", "train rows", ",d"),
        Column("rate", "rows/s", ",.0f"),
        Column("memory", "peak memory, MB", ",.0f"),
    )
    section.tables.append(ResultTable("Training (two_branch of one source of 256)", columns, rates))
    share = 100 * rates[0]["rate"] / rates[1]["rate"]
    section.goals.append(Goal("streamed, of the rate in memory", STREAM_GOAL, share, "%"))
    return section


if __name__ == "__main__":
    main()
