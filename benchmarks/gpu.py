"""All that is to be measured on a machine with a GPU, in parts that fit into minutes.

    python benchmarks/gpu.py --output results                                   # all parts, about a quarter of an hour
    python benchmarks/gpu.py --output results --parts speed                     # at most eight minutes
    python benchmarks/gpu.py --output results --parts tests,run,ensemble,kills  # at most nine
    python benchmarks/gpu.py --wheels wheels.txt                                # what a machine without network needs

Each part is a benchmark of its own that writes a JSON; parts that outlive their time are killed, and what they have written
stays. Copy the JSON files to benchmarks/results and run benchmarks/report.py (docs/gpu.md).
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from budget import TimeUpError, run_limited
from common import REPOSITORY, console, parse_arguments
from wheels import write_wheels

GRACE = 10.0
"""Seconds beyond its budget after which a part is killed."""
REHEARSAL = 4
"""Times the budget that a part has under ``--smoke``: a CPU may be busy."""


@dataclass(frozen=True)
class Part:
    """A benchmark to run, and for how long at most."""

    command: tuple[str, ...]
    """Arguments of the interpreter, from the repository's root."""
    seconds: float
    smoke: tuple[str, ...] = ("--smoke",)


KILLS = ("-m", "tests.robustness.kills", "--name", "gpu_kills", "--title", "GPU: kills")
PARTS = {
    "speed": Part(("benchmarks/gpu_speed.py",), 450),
    "tests": Part(("benchmarks/gpu_tests.py",), 180),
    "run": Part(("benchmarks/gpu_runs.py", "run"), 80),
    "ensemble": Part(("benchmarks/gpu_runs.py", "ensemble"), 110),
    "kills": Part(
        (*KILLS, "--kills", "8", "--most", "4"), 120, ("--smoke", "--kills", "1", "--most", "1", "--epochs", "2")
    ),
}


def run_part(name: str, options: argparse.Namespace) -> bool:
    """Run a part; whether it ended well."""
    part = PARTS[name]
    budget = part.seconds * (REHEARSAL if options.smoke else 1)
    command = [sys.executable, *part.command, "--seconds", f"{budget:g}", "--output", str(options.output)]
    command += part.smoke if options.smoke else ()
    command += ["--revision", options.revision] if options.revision else []
    command += ["--scratch", str(options.scratch)] if options.scratch else []
    log = options.output / "logs" / f"gpu_{name}.log"
    console.print(f"{name}: at most {budget:.0f} s", highlight=False)
    try:
        status, seconds = run_limited(command, budget + GRACE, log, cwd=REPOSITORY, env=environment())
    except TimeUpError as error:
        console.print(f"{name}: {error}", style="yellow", highlight=False)
        return False
    console.print(log.read_text(encoding="utf-8", errors="replace")[-6_000:], highlight=False, markup=False)
    console.print(f"{name}: exit status {status} after {seconds:.0f} s", highlight=False)
    return status == 0


def environment() -> dict[str, str]:
    """What this process has, and the package of this checkout."""
    paths = [str(REPOSITORY / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}


def named_parts(text: str) -> list[str]:
    """Parts from a list with commas.

    Raises:
        ArgumentTypeError: if there is no part of one of these names.
    """
    names = text.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=named_parts, default=list(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--wheels", type=Path, help="write the packages that are needed beside torch, and stop")
    parser.add_argument("--present", nargs="*", default=["torch"], help="packages that the machine has, for --wheels")
    options = parse_arguments(parser, {})
    if options.wheels:
        write_wheels(options.wheels, options.present)
        return
    options.output = options.output.resolve()
    ended = [run_part(name, options) for name in options.parts]
    if not all(ended):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
