"""SMAPE over the number of labelled products: every model that the project offers, on the same draws.

    PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines ingest
    python benchmarks/curve.py
    python benchmarks/curve.py --sizes 100 300 --models ridge lightgbm "ensemble quick"
    python benchmarks/curve.py --environment base --data data --name curve_fabricated --sizes 1000 10000 75000 --not-all

Each draw takes so many labelled rows outside an outer fold of benchmarks/accuracy.py, fits all models on them, and scores
the products of that fold; with all rows, each outer fold is scored once, and what benchmarks/accuracy.py has measured is
taken from there. What is measured is kept in <data>/benchmarks/curve and not done again, unless the data or the settings are
others. Draws docs/pictures/<name>.png.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from accuracy_records import Job, read_record, settings_digest
from bench import VARIANTS, Bench, add_bench_arguments, opened_bench
from common import REPOSITORY, Column, Goal, ResultTable, console, parse_arguments, revision, start
from contenders import Model, known_models
from draws import drawn, interval_of_mean
from outer_folds import OUTER_FOLDS, SEED, OuterFold
from price_fusion.errors import PriceFusionError
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.selection.learning_curve import power_law, with_twice_the_rows
from price_fusion.storage.files import write_whole

SMOKE: dict[str, Any] = {
    "sizes": [60, 120],
    "draws": 2,
    "models": ["median", "ridge", "two_branch"],
    "epochs": 1,
}
BASELINES = ("median", "ridge", "lightgbm")
ENSEMBLE = "ensemble quick"
PICTURES = REPOSITORY / "docs/pictures"
DRAWN = {
    "median": "#999999",
    "lightgbm": "#d55e00",
    "ridge": "#e69f00",
    "moe": "#56b4e9",
    "four_branch": "#0072b2",
    "kernel_ridge": "#009e73",
    "neighbours": "#cc79a7",
    ENSEMBLE: "#000000",
}
"""Models of the picture, with colours that colour-blind readers tell apart (Okabe and Ito 2008)."""
FAMILIES = ("catboost", "reference", "ensemble_full", "RealMLP", "TabM", "lightgbm_extra_trees", "AutoGluon")
"""Left out unless they are named: they take long, or are others' settings."""
FULL_DRAWS, FEWEST_DRAWS = 1_500, 3
"""Above so many rows there are fewer draws, in proportion, and three at least: they take longer and differ less."""
FEW, ALLOWED = 1_000, 0.3
"""Below so many rows a model may be so many points behind the best baseline; from there on it must be ahead of each."""


@dataclass(frozen=True)
class Draw:
    """What models are fitted on at one size."""

    rows: int
    number: int
    outer: OuterFold
    all_rows: bool = False


def draws_of(bench: Bench, size: int | None, count: int) -> list[Draw]:
    """Draws of one size; None: all rows outside each outer fold."""
    if size is None:
        return [Draw(len(outer.others), number, outer, True) for number, outer in enumerate(bench.outer_folds)]
    count = min(count, max(FULL_DRAWS * count // size, FEWEST_DRAWS))
    return [Draw(size, number, drawn(bench.outer_folds[number % OUTER_FOLDS], size, number)) for number in range(count)]


def measured(bench: Bench, model: Model, draw: Draw, folder: Path) -> dict[str, Any]:
    """SMAPE in percent of one model on one draw and seconds of training: the record, or a new one."""
    digest = settings_digest(bench, model)
    if draw.all_rows and (known := of_accuracy(bench, Job(model, draw.outer, SEED, digest))):
        return known
    path = folder / f"{model.name.replace(' ', '-')}-{draw.rows}-{draw.number}-{digest}.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    try:
        predicted = model.predict(draw.outer, SEED)
    except PriceFusionError as error:
        return {"failed": str(error)}  # not kept: the next run tries again
    finally:
        shutil.rmtree(bench.models_folder(draw.outer.number), ignore_errors=True)
    record = {
        "smape": smape_of(bench, draw.outer, predicted.prices),
        "seconds": predicted.seconds,
        "revision": revision(),
    }
    write_whole(path, json.dumps(record).encode())
    return record


def of_accuracy(bench: Bench, job: Job) -> dict[str, Any] | None:
    """What benchmarks/accuracy.py measured of the same job."""
    record = read_record(replace(bench, records=bench.records.parent / "accuracy"), job)
    if record is None or "failed" in record or record["package"] != job.model.package:
        return None
    smape = smape_of(bench, job.outer, record["prices"])
    return {"smape": smape, "seconds": record["seconds"], "revision": record["revision"]}


def smape_of(bench: Bench, outer: OuterFold, prices: ArrayLike) -> float:
    """SMAPE in percent of prices of an outer fold."""
    return float(smape_per_product(np.asarray(prices), bench.prices[outer.scored]).mean())


Found = Mapping[str, Sequence[float]]
"""SMAPE of each draw of one size, by model; the draws in the same order."""


def lines_of(size: float, found: Found) -> list[dict[str, Any]]:
    """One line a model, best first, with paired differences to each baseline."""
    lines = []
    for name, smapes in sorted(found.items(), key=lambda item: statistics.mean(item[1])):
        line: dict[str, Any] = {"rows": size, "draws": len(smapes), "model": name, "smape": statistics.mean(smapes)}
        for baseline in BASELINES:
            if baseline in found and name not in BASELINES:
                mean, low, high = interval_of_mean(differences(smapes, found[baseline]))
                line[baseline] = f"{mean:+.2f}" + (f" [{low:+.2f}, {high:+.2f}]" if len(smapes) > 1 else "")
        lines.append(line)
    return lines


def differences(smapes: Sequence[float], others: Sequence[float]) -> list[float]:
    """Of the same draws."""
    return [own - other for own, other in zip(smapes, others, strict=True)]


def goals_of(size: float, found: Found) -> list[Goal]:
    """What the ensemble and the best single model must reach."""
    singles = [name for name in found if name not in BASELINES and not name.startswith("ensemble")]
    best = min(singles, key=lambda name: statistics.mean(found[name]), default=None)
    there = [name for name in BASELINES if name in found]
    if not there or len(found[there[0]]) < 2:
        return []
    goals = []
    for name in dict.fromkeys([ENSEMBLE, best]):
        if name is None or name not in found:
            continue
        if size < FEW:
            least = [min(values) for values in zip(*(found[baseline] for baseline in there), strict=True)]
            worst = max(differences(found[name], least))
            goals.append(
                Goal(f"{size:,.0f} rows: {name} - best baseline, worst draw", ALLOWED, worst, "points", at_least=False)
            )
            continue
        highs = [interval_of_mean(differences(found[name], found[baseline]))[2] for baseline in there]
        goals.append(
            Goal(f"{size:,.0f} rows: {name} - each baseline, upper end", 0.0, max(highs), "points", at_least=False)
        )
    return goals


def slopes(by_size: Mapping[float, Found]) -> list[dict[str, Any]]:
    """What twice the labels bring: of a power law of SMAPE over rows, fitted to the three largest sizes."""
    sizes = sorted(by_size)[-3:]
    lines = []
    for name in dict.fromkeys(name for size in sizes for name in by_size[size]):
        known = [size for size in sizes if name in by_size[size]]
        if len(known) < 2 or name == "median":
            continue
        smapes = [statistics.mean(by_size[size][name]) for size in known]
        exponent, twice = float(power_law(known, smapes)[0]), float(with_twice_the_rows(known, smapes))
        lines.append(
            {"model": name, "exponent": exponent, "smape": smapes[-1], "twice": twice, "gain": twice - smapes[-1]}
        )
    return lines


def draw_picture(by_size: Mapping[float, Found], path: Path) -> None:
    """SMAPE over labelled rows, a line for each model of ``DRAWN``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    sizes = sorted(by_size)
    for name, colour in DRAWN.items():
        known = [size for size in sizes if name in by_size[size]]
        if known:
            means = [statistics.mean(by_size[size][name]) for size in known]
            axes.plot(known, means, "o-", color=colour, label=name, markersize=4)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("labelled products")
    axes.set_ylabel("SMAPE, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(path, dpi=150)


COLUMNS = (
    Column("rows", "labelled rows", ",.0f"),
    Column("draws", "draws", "d"),
    Column("model", "model"),
    Column("smape", "SMAPE, %", ".2f"),
    Column("ridge", "- ridge, points [95 %]"),
    Column("lightgbm", "- LightGBM, points [95 %]"),
    Column("median", "- median price, points [95 %]"),
)
SLOPE_COLUMNS = (
    Column("model", "model"),
    Column("exponent", "exponent", ".3f"),
    Column("smape", "SMAPE at the largest size, %", ".2f"),
    Column("twice", "with twice as many, %", ".2f"),
    Column("gain", "gain, points", "+.2f"),
)
TIME_COLUMNS = (
    Column("model", "model"),
    Column("rows", "labelled rows", ",.0f"),
    Column("seconds", "training, s", ".1f"),
)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", nargs="*", type=int, default=[100, 300, 1_000, 3_000], help="labelled rows of a draw"
    )
    parser.add_argument(
        "--draws", type=int, default=10, help="of sizes up to 1,500; all rows are fitted once per outer fold"
    )
    parser.add_argument(
        "--models", nargs="+", metavar="MODEL", help="by their names in the table (default: ours and baselines)"
    )
    parser.add_argument("--not-all", action="store_true", help="leave out the fits on all rows")
    parser.add_argument("--name", default="curve", help="of the JSON and the picture")
    parser.add_argument("--title", default="SMAPE over the number of labelled products", help="of the section")
    add_bench_arguments(parser)
    parser.set_defaults(variants=list(VARIANTS))
    return parse_arguments(parser, SMOKE)


def chosen_models(bench: Bench, names: Sequence[str] | None) -> list[Model]:
    """Models to measure, in the order of what they take."""
    known = [model for model in known_models(bench, 1) if model.is_available]
    return [model for model in known if (model.name in names if names else model.family not in FAMILIES)]


def main() -> None:
    options = parse()
    start("curve over the number of labelled products")
    with opened_bench(options, options.name, options.title) as (bench, section):
        models = chosen_models(bench, options.models)
        by_size: dict[float, dict[str, list[float]]] = {}
        times, revisions = [], set[str]()
        for size in [*options.sizes, *([] if options.not_all else [None])]:
            draws = draws_of(bench, size, options.draws)
            rows = statistics.mean(draw.rows for draw in draws)
            by_size[rows] = {}
            for model in models:
                began = perf_counter()
                found = [measured(bench, model, draw, bench.records) for draw in draws]
                if failed := next((one["failed"] for one in found if "failed" in one), None):
                    section.left_out[f"{model.name}, {rows:,.0f} rows"] = failed
                    continue
                by_size[rows][model.name] = [one["smape"] for one in found]
                revisions |= {one["revision"] for one in found}
                times.append(
                    {"model": model.name, "rows": rows, "seconds": statistics.median(one["seconds"] for one in found)}
                )
                console.print(
                    f"{rows:,.0f} rows, {model.name}: SMAPE {statistics.mean(by_size[rows][model.name]):.2f} %, "
                    f"{perf_counter() - began:.0f} s",
                    highlight=False,
                )
            section.goals += goals_of(rows, by_size[rows])
    notes = [
        "a draw: rows drawn from four outer folds of benchmarks/accuracy.py, all products of the fifth scored",
        "a model that selects something does so on a tenth of the drawn rows, an ensemble by cross-validation of them",
        "differences are paired; intervals are Student's t over draws",
        f"runs of commit(s) {', '.join(sorted(revisions))}",
    ]
    lines = [line for rows, found in by_size.items() for line in lines_of(rows, found)]
    columns = [column for column in COLUMNS if any(column.key in line for line in lines)]
    section.tables = [
        ResultTable("All models at each size", columns, lines, notes),
        ResultTable(
            "What twice the labels would bring",
            SLOPE_COLUMNS,
            slopes(by_size),
            ["SMAPE = a n^exponent, fitted to the three largest sizes; an extrapolation"],
        ),
        ResultTable("Seconds of training", TIME_COLUMNS, times, ["median over draws"]),
    ]
    section.tables = [table for table in section.tables if table.rows]
    section.finish(options)
    draw_picture(by_size, (options.output if options.smoke else PICTURES) / f"{options.name}.png")


if __name__ == "__main__":
    main()
