"""The project's tests with a GPU in sight: those that need one, and those of all that computes.

python benchmarks/gpu_tests.py --seconds 180
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from budget import Budget, run_limited
from common import REPOSITORY, Column, Goal, ResultTable, Section, parse_arguments, start
from timing import ImpossibleFigureError

TRAINING = "tests/training"
FOLDS = [
    "tests/prediction/test_predictor.py",
    "tests/prediction/test_predictor_intervals.py",
    "tests/selection/test_cross_validation.py",
    "tests/prediction/test_ensemble.py",
    "tests/selection/test_ablation.py",
    "tests/evaluation/test_calibration.py",
]
SUITES = {
    "marked gpu": ["-m", "gpu", TRAINING],
    "training": [TRAINING],
    "models": ["tests/models"],
    "prediction and folds": FOLDS,
    "pipelines": ["tests/pipelines"],
}
SMOKE_SUITES = {"schedules": [f"{TRAINING}/step/test_schedules.py"]}
ONE_PROCESS = ("marked gpu", *SMOKE_SUITES)
PROCESSES = 8
"""Of pytest-xdist at most: each has a context of its own on the GPU."""
COLUMNS = [
    Column("suite", "tests"),
    Column("passed", "passed", ",d"),
    Column("failed", "failed", ",d"),
    Column("skipped", "skipped", ",d"),
    Column("seconds", "s", ".0f"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180.0, help="for all of them")
    options = parse_arguments(parser, {})
    start("GPU: tests")
    rows: list[dict[str, object]] = []
    table = ResultTable(
        "Tests", COLUMNS, rows, notes := ["warnings are no errors here, as they are in the project's own runs"]
    )
    section = Section("gpu_tests", "GPU: tests", "the project's tests", tables=[table])
    budget = Budget(section, options)

    def measure(name: str, arguments: list[str]) -> None:
        found, failures = run_suite(name, arguments, budget, options.output)
        rows.append(found)
        notes.extend(f"failed: {failure}" for failure in failures)
        failed = sum(int(str(row["failed"])) for row in rows)
        section.goals = [Goal("tests that fail with a GPU in sight", 0, failed, "tests", at_least=False)]

    suites = SMOKE_SUITES if options.smoke else SUITES
    budget.spend({name: partial(measure, name, arguments) for name, arguments in suites.items()})


def run_suite(name: str, arguments: list[str], budget: Budget, output: Path) -> tuple[dict[str, object], list[str]]:
    """Run pytest; a row of the table, and the names of tests that failed.

    Raises:
        TimeUpError: if time was up before it ended.
        ImpossibleFigureError: if no test ran.
    """
    with tempfile.TemporaryDirectory(prefix="price_fusion_") as folder:
        results = Path(folder) / "results.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
            f"--junitxml={results}",
        ]
        command += ["-o", "filterwarnings=default", *in_processes(name), *arguments]
        log = output / "logs" / f"gpu_tests_{name.replace(' ', '_')}.log"
        _, seconds = run_limited(command, budget.left, log, cwd=REPOSITORY, env=os.environ)
        cases = list(ElementTree.parse(results).iter("testcase")) if results.exists() else []  # noqa: S314 - pytest's own
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    passed = len(cases) - len(failed) - len(skipped)
    if not passed + len(failed):
        raise ImpossibleFigureError(f"{name}: no test ran; see {log.name}")
    row = {"suite": name, "passed": passed, "failed": len(failed), "skipped": len(skipped), "seconds": seconds}
    return row, [f"{case.get('classname')}::{case.get('name')}" for case in failed]


def in_processes(name: str) -> list[str]:
    """Options of pytest-xdist, where it is there and helps."""
    if name in ONE_PROCESS or find_spec("xdist") is None:
        return []
    return ["-n", str(min(PROCESSES, os.cpu_count() or 1))]


if __name__ == "__main__":
    main()
