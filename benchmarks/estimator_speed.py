"""Seconds and peak memory of fitting each estimator and of predicting with it, over the number of labelled products.

    python benchmarks/estimator_speed.py
    python benchmarks/estimator_speed.py --rows 5000 75000 --kinds kernel_ridge

Each fit is done by a process of its own, on random embeddings as wide as those of the real products; a tenth of the rows are
stop rows. The last line of an estimator but ``neighbours`` is extrapolated from its largest number of rows, in proportion: with as many columns,
centres and trees, that is how its time grows. Memory is extrapolated from the whole peak, which is too much where a part of
it is the same for any number of rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from common import Column, ResultTable, Section, console, parse_arguments, random_matrix, start
from ingestion_speed import peak_memory
from price_fusion.models.estimators import fit_estimator
from price_fusion.models.features import features_from_arrays
from price_fusion.parameters import ComparisonParameters, SourceParameters

SOURCES = {
    "title": SourceParameters(width=384, group="title"),
    "full": SourceParameters(width=384, group="full"),
    "words": SourceParameters(width=512, group="full"),
    "characters": SourceParameters(width=515, group="full", structural_columns=3),
}
"""As wide as those of the real products."""
KINDS = ("ridge", "kernel_ridge", "neighbours", "lightgbm")
PREDICTED = 2_000
EXTRAPOLATED = 750_000
EXACT = 15_811
"""Fit rows up to which kernel ridge is exact, with the default memory."""
SMOKE = {"rows": [300], "kinds": ["ridge", "kernel_ridge"], "predicted": 50}


def fit(kind: str, rows: int, predicted: int, threads: int) -> dict[str, Any]:
    """Fit and predict in this process."""
    vectors = {
        name: random_matrix(rows + predicted, source, number) for number, (name, source) in enumerate(SOURCES.items())
    }
    features = features_from_arrays(vectors, SOURCES, dict.fromkeys(SOURCES, "float16"))
    generator = np.random.default_rng(0)
    signal = vectors["title"][:, :32].astype(np.float64).sum(axis=1)
    log_prices = 2.6 + 0.7 * signal / signal.std() + generator.normal(0, 0.7, len(signal))
    stops = max(rows // 10, 1)
    before, used, began = peak_memory(), cpu_seconds(), perf_counter()
    fitted = fit_estimator(
        kind,
        features,
        SOURCES,
        log_prices,
        np.arange(rows - stops),
        np.arange(rows - stops, rows),
        options=ComparisonParameters(boosting_threads=threads),
        seed=41,
        fit_stop_rows=True,
    )
    middle, used = perf_counter(), cpu_seconds() - used
    prices = fitted.log_prices(features, np.arange(rows, rows + predicted))
    if not np.isfinite(prices).all():
        raise SystemExit(f"{kind}, {rows} rows: predictions that are not finite")
    return {
        "kind": kind,
        "rows": rows,
        "seconds": middle - began,
        "cpu": used,
        "gb": (peak_memory() - before) / 1e9,
        "predicting": (perf_counter() - middle) / predicted * 1_000,
        "how": "measured",
    }


def cpu_seconds() -> float:
    """Of all threads of this process."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def in_fresh_process(kind: str, rows: int, options: argparse.Namespace) -> dict[str, Any]:
    """``fit`` in a new interpreter."""
    order = json.dumps([kind, rows, options.predicted, options.threads])
    done = subprocess.run(
        [sys.executable, str(Path(__file__)), "--fit", order], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def extrapolated(found: dict[str, Any]) -> dict[str, Any]:
    """What ``EXTRAPOLATED`` rows would take, in proportion; the matrix of all rows alone says the least memory."""
    factor = EXTRAPOLATED / found["rows"]
    return found | {
        "rows": EXTRAPOLATED,
        "seconds": found["seconds"] * factor,
        "cpu": found["cpu"] * factor,
        "gb": found["gb"] * factor,
        "how": "extrapolated",
    }


COLUMNS = (
    Column("kind", "estimator"),
    Column("rows", "labelled rows", ",.0f"),
    Column("how", ""),
    Column("seconds", "fitting, s", ",.1f"),
    Column("cpu", "CPU time of it, s", ",.1f"),
    Column("gb", "memory, GB", ".2f"),
    Column("predicting", "predicting 1,000 products, s", ".2f"),
)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=int, default=[5_000, 15_000, 75_000], help="labelled products")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), help="estimators")
    parser.add_argument("--predicted", type=int, default=PREDICTED, help="products to predict")
    parser.add_argument("--threads", type=int, default=0, help="of boosting; 0: all cores")
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    return parse_arguments(parser, SMOKE)


def main() -> None:
    options = parse()
    if options.fit:
        print(json.dumps(fit(*json.loads(options.fit))))  # read by the process that started this one
        return
    start("time and memory of estimators")
    lines = []
    for kind in options.kinds:
        for rows in options.rows:
            lines.append(in_fresh_process(kind, rows, options))
            console.print(f"{kind}, {rows:,} rows: {lines[-1]['seconds']:.1f} s", highlight=False)
        # An exact fit of kernel_ridge takes the cube of the rows, choosing neighbours their square.
        if kind != "neighbours" and (kind != "kernel_ridge" or lines[-1]["rows"] > EXACT):
            lines.append(extrapolated(lines[-1]))
    width = sum(source.width for source in SOURCES.values())
    section = Section("estimator_speed", "Time and memory of estimators", f"random embeddings, {width:,} columns")
    section.tables = [
        ResultTable(
            "Fitting and predicting",
            COLUMNS,
            lines,
            [
                "memory: peak of the process above what it had before fitting, the features in float16 among the latter",
                f"kernel_ridge is exact up to 15,811 rows, with 5,000 centres beyond; {EXTRAPOLATED:,} rows: in proportion "
                "to the largest number that was measured",
            ],
        )
    ]
    section.finish(options)


if __name__ == "__main__":
    main()
