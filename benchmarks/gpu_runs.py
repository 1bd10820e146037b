"""The real ``kedro run`` on the fabricated sample, timed from its start to its end.

python benchmarks/gpu_runs.py run
python benchmarks/gpu_runs.py ensemble
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from budget import Budget, run_limited
from common import Column, ResultTable, Section, parse_arguments, scratch_folder, start
from project import SAMPLE, make_project
from timing import Timings, best_seconds


@dataclass(frozen=True)
class Run:
    """A command, and the file whose prices say that it did its work."""

    title: str
    arguments: tuple[str, ...]
    prices: str
    """CSV with a price for each row of ``products``."""
    products: str = "data/01_raw/dataset/test.csv"
    before: tuple[tuple[str, ...], ...] = (("--pipelines", "fabricate"),)
    """Runs that make what it needs."""


RUNS = {
    "run": Run("kedro run", (), "data/07_model_output/moe/test_out.csv"),
    "ensemble": Run(
        "kedro run --pipelines ensemble",
        ("--pipelines", "ensemble"),
        "data/07_model_output/ensemble/test_out.csv",
    ),
}
FABRICATED = "data/01_raw/dataset/train.csv"
SMOKE = Run(
    "kedro run --pipelines fabricate", ("--pipelines", "fabricate", "--params", SAMPLE), FABRICATED, FABRICATED, ()
)
COLUMNS = [
    Column("command", "command"),
    Column("products", "products with a price", ",d"),
    Column("epochs", "epochs of moe", ",d"),
    Column("seconds", "s", ".1f"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--seconds", type=float, default=110.0, help="at most, with fabricating the sample")
    options = parse_arguments(parser, {})
    run = SMOKE if options.smoke else RUNS[options.run]
    start(f"GPU: {run.title}")
    rows: list[dict[str, object]] = []
    section = Section(
        f"gpu_{options.run}",
        f"GPU: {RUNS[options.run].title}",
        "the fabricated sample in its usual size, in a project of its own",
        tables=[ResultTable("From start to end", COLUMNS, rows, ["one run, with starting the interpreter"])],
    )
    budget = Budget(section, options)
    with scratch_folder(options) as scratch:
        budget.spend({run.title: lambda: rows.append(measure(run, Path(scratch), budget, options))})


def measure(run: Run, scratch: Path, budget: Budget, options: argparse.Namespace) -> dict[str, object]:
    """Make the project, run the command, and count the prices that it left.

    Raises:
        TimeUpError: if time was up before it ended.
        RuntimeError: if it failed.
        ImpossibleFigureError: if prices are missing.
    """
    project = make_project(scratch / "project", run.before)
    command = [sys.executable, "-m", "kedro", "run", *run.arguments]
    log = options.output / "logs" / f"kedro_{options.run}.log"
    status, seconds = run_limited(command, budget.left, log, cwd=project, env=os.environ | {"COLUMNS": "150"})
    if status:
        raise RuntimeError(f"exit status {status}; see {log.name}")
    times = Timings(run.title, len(pd.read_csv(project / run.products)), "products")
    times.note(priced(project / run.prices), seconds)
    floor = best_seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 0.1)
    history = project / "data/06_models/moe/training_history.json"
    epochs = len(json.loads(history.read_text(encoding="utf-8"))) if history.exists() else None
    return {"command": run.title, "products": times.amount, "epochs": epochs, "seconds": times.median(floor)}


def priced(path: Path) -> int:
    """Rows with a positive price."""
    prices = pd.read_csv(path)["price"].to_numpy(np.float64)
    return int((np.isfinite(prices) & (prices > 0)).sum())


if __name__ == "__main__":
    main()
