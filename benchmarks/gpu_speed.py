"""Training and scoring on a GPU, beside what its arithmetic allows and a plain loop.

    python benchmarks/gpu_speed.py --seconds 450

Random tables of the reference's widths, uploaded as training uploads them. Measurements come in the order of what they tell,
and stop when time is up.
"""

from __future__ import annotations

import price_fusion  # noqa: F401  # isort: skip - before torch: it sets how torch's threads wait

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from budget import Budget
from common import Section, console, parse_arguments, scratch_folder, start
from gpu_tables import Figures
from gpu_training import Bench
from peaks import measure_peaks

SMOKE = {
    "variants": ["two_branch"],
    "rows": 300,
    "repeats": 1,
    "members": [2],
    "workers": [0],
    "plain_steps": 1,
    "peak_seconds": 0.1,
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=450.0, help="for all measurements")
    parser.add_argument("--variants", nargs="+", default=["moe", "hierarchical", "two_branch", "four_branch"])
    parser.add_argument(
        "--rows", type=int, default=75_000, help="four fifths of them train rows, a tenth validation rows"
    )
    parser.add_argument("--repeats", type=int, default=5, help="epochs that count")
    parser.add_argument("--members", type=int, nargs="+", default=[5, 15], help="trained together")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 8], help="of the plain loop's DataLoader")
    parser.add_argument("--plain-steps", type=int, default=40, help="per repeat")
    parser.add_argument("--peak-seconds", type=float, default=1.0, help="of measuring each peak")
    return parse_arguments(parser, SMOKE)


def measurements(bench: Bench, options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """All of them by name, those that tell most first."""
    found: dict[str, Callable[[], None]] = {}
    for name in options.variants:
        found[f"{name}: upload"] = partial(bench.upload, name)
        found[f"{name}: epochs with the graph"] = partial(bench.recorded, name)
        found[f"{name}: epochs without the graph"] = partial(bench.eager, name)
        found[f"{name}: scoring in float32"] = partial(bench.scoring, name, bf16=False)
        found[f"{name}: scoring in bf16"] = partial(bench.scoring, name, bf16=True)
    shown = options.variants[:2]
    for name in shown:
        for count in options.members:
            found[f"{name}: {count} stacked members"] = partial(bench.stacked, name, count)
    for name in shown:
        for workers in options.workers:
            found[f"{name}: plain loop, {workers} workers"] = partial(bench.plain, name, workers)
    for name in shown:
        found[f"{name}: torch.compile"] = partial(bench.compiled, name)
    return found


def main() -> None:
    options = parse()
    start("GPU: speed")
    if not (options.smoke or torch.cuda.is_available()):
        raise SystemExit("torch finds no CUDA device here. On the CPU, --smoke rehearses the benchmark.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peaks = measure_peaks(options.peak_seconds, small=options.smoke, device=device)
    figures = Figures(peaks, options)
    data = f"random float16 tables of the reference's widths, {options.rows:,} rows, uploaded from memory-mapped files"
    section = Section("gpu_speed", "GPU: training and scoring", data, tables=figures.tables, goals=figures.goals)
    budget = Budget(section, options)
    with scratch_folder(options) as folder:
        bench = Bench(Path(folder), options, device, peaks, figures)
        console.print(f"tables written; {budget.left:.0f} s left", style="dim")
        budget.spend(measurements(bench, options))


if __name__ == "__main__":
    main()
