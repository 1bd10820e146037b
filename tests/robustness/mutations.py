"""What becomes of damage to our own files: is it named, harmless, silently wrong, or an error of another kind?

    python -m tests.robustness.mutations --count 2000

The tests run the same on a small sample.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import Column, Goal, ResultTable, Section, parse_arguments, scratch_folder, start

from .damage import KINDS, OUTCOMES, RIGHT, Result, counts, make_subjects, outcomes

EXAMPLES = 3
"""Wrong outcomes of a subject that are printed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2_000, help="mutations of each kind of folder")
    parser.add_argument("--seed", type=int, default=0)
    options = parse_arguments(parser, {"count": 30})
    start("Damage to our own files")
    with scratch_folder(options) as scratch:
        subjects = make_subjects(Path(scratch))
        results = [result for subject in subjects for result in outcomes(subject, options.count, options.seed)]
    names = [subject.name for subject in subjects]
    wrong = [result for result in results if result.outcome not in RIGHT]
    Section(
        "mutations",
        "Damage to our own files",
        f"{options.count:,} mutations of each folder, drawn at seed {options.seed}; folders of a few kilobytes",
        tables=[_table(results, names)],
        goals=[Goal("mutations that are neither named nor harmless", 0, len(wrong), "of all", at_least=False)],
        values={"mutations": len(results), "wrong": len(wrong)},
    ).finish(options)


def _table(results: list[Result], names: Sequence[str]) -> ResultTable:
    found = counts(results)
    rows = [
        {"folder": name, "damage": kind, **{outcome: found[name, kind, outcome] for outcome in OUTCOMES}}
        for name in names
        for kind in KINDS
    ]
    columns = [Column("folder", "folder"), Column("damage", "damage")]
    columns += [Column(outcome, outcome, ",d") for outcome in OUTCOMES]
    return ResultTable("Outcomes of reading", columns, rows, _examples(results, names))


def _examples(results: list[Result], names: Sequence[str]) -> list[str]:
    return [
        f"{result.subject}: {result.mutation.kind} of {', '.join(result.mutation.files)}: {result.outcome} {result.said}"
        for name in names
        for result in [one for one in results if one.subject == name and one.outcome not in RIGHT][:EXAMPLES]
    ]


if __name__ == "__main__":
    main()
