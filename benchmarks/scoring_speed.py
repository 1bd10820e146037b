"""Rows a second from memory-mapped tables to prices ready for a CSV, beside a plain loop and what the arithmetic allows.

python benchmarks/scoring_speed.py
"""

from __future__ import annotations

import price_fusion  # noqa: F401  # isort: skip - before torch: it sets how torch's threads wait

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils._python_dispatch import TorchDispatchMode

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
    scratch_folder,
    start,
    write_random_tables,
)
from peaks import Peaks, measure_peaks
from plain_loop import ProductItems, plain_prices
from price_fusion.data.table import EmbeddingTable
from price_fusion.metrics.price_scale import BEFORE
from price_fusion.models.build import PriceModel
from price_fusion.models.checkpoint import Checkpoint, CheckpointHeader
from price_fusion.models.features import features_from_tables
from price_fusion.models.scoring import score, to_prices
from price_fusion.parameters import VariantParameters
from price_fusion.prediction.predictor import Predictor
from timing import Timings, timed

GOALS = {"two_branch": 300_000, "hierarchical": 60_000}
"""Rows a second on two cores."""
SMOKE = {"rows": 600, "repeats": 1, "plain_rows": 256, "peak_seconds": 0.2}

PLAIN = "plain loop"
Tables = dict[str, EmbeddingTable]


class ProductPrecision(TorchDispatchMode):
    """Notes in which types matrix products run."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket is torch.ops.aten.linear:
            self.types.add(args[1].dtype)
        elif function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            self.types.add(args[-1].dtype)
        return function(*args, **(kwargs or {}))


def product_precision(function: Callable[[], object]) -> str:
    """``bf16`` where most of what a call multiplies is, else ``float32``."""
    with ProductPrecision() as seen:
        function()
    return "bf16" if torch.bfloat16 in seen.types else "float32"


def fresh_checkpoint(name: str, variant: VariantParameters, tables: Tables) -> tuple[PriceModel, Checkpoint]:
    """A model with random weights, and its checkpoint."""
    sources = {source: tables[source].declaration for source in variant.sources}
    model = PriceModel(sources, variant.model)
    header = CheckpointHeader(
        variant=name,
        sources=sources,
        dtypes={source: tables[source].dtype for source in sources},
        model=variant.model,
        median_price=14.0,
        epoch=1,
        validation={},
        data={},
    )
    return model, Checkpoint(header, dict(model.state_dict()))


def csv_ready(samples: pd.DataFrame, prices: object) -> pd.DataFrame:
    """What is written as test_out.csv."""
    return pd.DataFrame({"sample_id": samples["sample_id"].to_numpy(), "price": prices})


def scored_in_bf16(model: PriceModel, samples: pd.DataFrame, folders: dict[str, Path]) -> pd.DataFrame:
    """Our scoring with bf16 products; tables are opened here."""
    tables = {name: EmbeddingTable(folder) for name, folder in folders.items()}
    sources = {name: table.declaration for name, table in tables.items()}
    features = features_from_tables(samples, tables, sources)
    log_prices = score(model, features, torch.arange(len(features)), bf16=True)
    return csv_ready(samples, to_prices(log_prices, BEFORE))


def predicted(predictor: Predictor, samples: pd.DataFrame, folders: dict[str, Path]) -> pd.DataFrame:
    """What ``kedro run --pipelines predict_<variant>`` computes; tables are opened here."""
    tables = {name: EmbeddingTable(folder) for name, folder in folders.items()}
    return csv_ready(samples, predictor.predict_samples(samples, tables))


def scored(priced: pd.DataFrame) -> int:
    """How many products have a price."""
    return int(np.isfinite(priced["price"].to_numpy(np.float64)).sum())


def measure_variant(name: str, options: argparse.Namespace, peaks: Peaks) -> list[dict[str, Any]]:
    """One row per way of scoring."""
    variant = declared_variant(name)
    sources = {source: declared_sources()[source] for source in variant.sources}
    with scratch_folder(options) as folder:
        tables = write_random_tables(Path(folder), sources, options.rows)
        samples = random_samples(options.rows, list(sources))
        folders = {source: table.folder for source, table in tables.items()}
        model, checkpoint = fresh_checkpoint(name, variant, tables)
        predictor, few = Predictor(checkpoint), samples.iloc[:64]
        ways: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {}
        for label, call in {
            "Predictor.predict_samples": lambda chosen: predicted(predictor, chosen, folders),
            "models.scoring.score(bf16=True)": lambda chosen: scored_in_bf16(model, chosen, folders),
        }.items():
            ways[label] = (product_precision(lambda: call(few)), call)  # noqa: B023 - called here
        parameters = sum(weight.numel() for weight in model.parameters())
        rows = []
        for label, (precision, call) in ways.items():
            work = partial(lambda call: scored(call(samples)), call)
            times = timed(f"{name}: {label}", options.rows, work, options.repeats)
            rows.append(result(name, label, parameters, precision, times, peaks))
            console.print(f"{name}: {label}: {rows[-1]['rate']:,.0f} rows/s", style="dim")
        items = ProductItems(samples, tables, options.plain_rows)
        part = samples.iloc[: options.plain_rows]
        times = timed(
            f"{name}: {PLAIN}",
            len(part),
            lambda: scored(csv_ready(part, plain_prices(model, items))),
            options.repeats,
        )
        rows.append(result(name, PLAIN, parameters, "float32", times, peaks))
    return [row | {"ratio": row["rate"] / rows[-1]["rate"]} for row in rows]


def result(name: str, way: str, parameters: int, precision: str, times: Timings, peaks: Peaks) -> dict[str, Any]:
    """A row of the table."""
    ceiling = peaks.scoring_rate(parameters, precision)
    rate = times.rate(ceiling)
    return {
        "variant": name,
        "way": way,
        "parameters": parameters,
        "precision": precision,
        "rows": times.amount,
        "rate": rate,
        "ceiling": ceiling,
        "share": 100 * rate / ceiling,
        "bf16_ceiling": peaks.scoring_rate(parameters, "bf16"),
    }


def scoring_table(rows: list[dict[str, Any]], options: argparse.Namespace, peaks: Peaks) -> ResultTable:
    """All ways of all variants."""
    columns = (
        Column("variant", "variant"),
        Column("parameters", "parameters", ",.0f"),
        Column("way", "way"),
        Column("precision", "multiplies in"),
        Column("rows", "rows", ",.0f"),
        Column("rate", "rows/s", ",.0f"),
        Column("ratio", "times plain", ".1f"),
        Column("ceiling", "ceiling, rows/s", ",.0f"),
        Column("share", "share of it, %", ".0f"),
    )
    notes = [
        f"median of {options.repeats} runs after one that is not counted, from opening the tables to a table of ids and "
        "prices; writing the CSV not included",
        "ceiling: peak of the precision / 2 P: multiplying by each of the P parameters once a row and nothing else. Peaks in "
        f"this process: {peaks.float32 / 1e9:,.0f} GFLOP/s in float32, {peaks.bf16 / 1e9:,.0f} in bf16",
        "plain loop: float32, DataLoader (batch 256, no workers) over per-item dictionaries",
        *goal_notes(rows),
    ]
    return ResultTable("Scoring on the CPU", columns, rows, notes)


def goal_notes(rows: list[dict[str, Any]]) -> list[str]:
    """What is allowed where a goal asks for more."""
    ceilings = {row["variant"]: row["bf16_ceiling"] for row in rows}
    return [
        f"{name}: the goal of {GOALS[name]:,} rows/s is {GOALS[name] / ceiling:.1f} times the bf16 ceiling of "
        f"{ceiling:,.0f} rows/s: out of reach in bf16 for a model of this size"
        for name, ceiling in ceilings.items()
        if ceiling < GOALS.get(name, 0)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=list(GOALS))
    parser.add_argument("--rows", type=int, default=75_000)
    parser.add_argument("--plain-rows", type=int, default=10_000, help="rows that the plain loop scores")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak-seconds", type=float, default=0.3, help="of measuring each peak")
    options = parse_arguments(parser, SMOKE)
    start("scoring speed")
    data = f"random float16 tables of the reference's widths, {options.rows:,} rows, memory-mapped; random weights"
    section = Section("scoring_speed", "Scoring", data)
    peaks = measure_peaks(options.peak_seconds, small=options.smoke)
    rows = []
    for name in options.variants:
        found = measure_variant(name, options, peaks)
        rows += found
        if name in GOALS:
            section.goals += [
                Goal(f"{name}: {row['way']}", GOALS[name], row["rate"], "rows/s")
                for row in found
                if row["way"] != PLAIN
            ]
    section.tables.append(scoring_table(rows, options, peaks))
    section.values = {f"{row['variant']}_bf16_ceiling_rows_per_s": row["bf16_ceiling"] for row in rows}
    section.finish(options)


if __name__ == "__main__":
    main()
