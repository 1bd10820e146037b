"""Trainings that are killed by SIGKILL again and again and resumed: do they end as if nobody had killed them, to the bit?

    python -m tests.robustness.kills --kills 120

Each start is the real ``kedro run`` in a project of its own, on a fabricated sample. The tests run a few kills.
"""

from __future__ import annotations

import argparse
import json
import random
from itertools import cycle, pairwise
from pathlib import Path
from time import monotonic

from benchmarks.common import Column, Goal, ResultTable, Section, console, parse_arguments, scratch_folder, start
from benchmarks.project import SAMPLE, make_project
from benchmarks.timing import Timings

from .killing import AIMS, SETTINGS, Kill, Ordeal, train, train_under_fire

EPOCHS = 80
"""So many that a training takes several kills."""
TABLES = (
    ("--pipelines", "fabricate", "--params", SAMPLE),
    ("--pipelines", "train_moe", "--to-nodes", "ingestion.choose_moe_train"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=120, help="at least so many in all")
    parser.add_argument("--most", type=int, default=15, help="kills of one training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of a training")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no training after so many")
    parser.add_argument("--name", default="kills", help="of the JSON")
    parser.add_argument("--title", default="Kills")
    options = parse_arguments(parser, {"kills": 2, "most": 2})
    ending = monotonic() + options.seconds
    settings = [*SETTINGS, f"moe.train.epochs={options.epochs}"]
    start("Kills")
    with scratch_folder(options) as scratch:
        project = make_project(Path(scratch) / "project", TABLES)
        expected, usual = train(project, settings=settings)
        Timings("the training without kills", options.epochs, "epochs").note(epochs_trained(project), usual)
        ordeals: list[Ordeal] = []
        while sum(len(one.kills) for one in ordeals) < options.kills and monotonic() < ending:
            chance = random.Random(options.seed + len(ordeals))  # noqa: S311 - no secret
            ordeals.append(train_under_fire(project, cycle(AIMS), chance, usual, most=options.most, settings=settings))
            same = "the same" if ordeals[-1].digests == expected else "ANOTHER"
            console.print(
                f"training {len(ordeals)}: {len(ordeals[-1].kills)} kills, {same} in the end", highlight=False
            )
            found(ordeals, expected, options).write(options)
    found(ordeals, expected, options).finish(options)


def found(ordeals: list[Ordeal], expected: dict[str, str], options: argparse.Namespace) -> Section:
    """The section of the trainings so far."""
    kills = [kill for one in ordeals for kill in one.kills]
    others = sum(one.digests != expected for one in ordeals)
    left = options.kills - len(kills)
    return Section(
        options.name,
        options.title,
        f"trainings of a small moe of {len(ordeals)} x {options.epochs} epochs on a fabricated sample of 300 products",
        tables=[of_aims(kills), of_trainings(ordeals, expected)],
        goals=[
            Goal("kills by SIGKILL", min(100, options.kills), len(kills), "kills"),
            Goal("trainings that ended otherwise", 0, others, "trainings", at_least=False),
        ],
        values={"kills": len(kills), "trainings": len(ordeals), "others": others},
        left_out={"kills": f"{left} of {options.kills} before the time was up"} if left > 0 else {},
    )


def epochs_trained(project: Path) -> int:
    """How many epochs the history of the last training has."""
    history = project / "data/06_models/moe/training_history.json"
    return len(json.loads(history.read_text(encoding="utf-8")))


def of_aims(kills: list[Kill]) -> ResultTable:
    """What was hit."""
    rows = [
        {
            "aim": aim,
            "kills": len(hit),
            "writing": sum(bool(kill.writing) for kill in hit),
            "stateless": sum(kill.step is None for kill in hit),
            "seconds": f"{min(k.seconds for k in hit):.1f} to {max(k.seconds for k in hit):.1f}" if hit else "",
        }
        for aim in AIMS
        for hit in [[kill for kill in kills if kill.aim == aim]]
    ]
    columns = [
        Column("aim", "aimed at"),
        Column("kills", "kills", ",d"),
        Column("writing", "while a file was being written", ",d"),
        Column("stateless", "before the first state", ",d"),
        Column("seconds", "after the start, s"),
    ]
    return ResultTable("What the kills hit", columns, rows)


def of_trainings(ordeals: list[Ordeal], expected: dict[str, str]) -> ResultTable:
    """How each training ended."""
    rows = []
    for number, one in enumerate(ordeals, start=1):
        rates = [kill.rate for kill in one.kills if kill.rate is not None]
        row = {
            "training": number,
            "kills": len(one.kills),
            "drops": sum(a != b for a, b in pairwise(rates)),
        }
        rows.append(row | {what: "same" if one.digests[what] == expected[what] else "OTHER" for what in expected})
    columns = [
        Column("training", "training", "d"),
        Column("kills", "kills", "d"),
        Column("drops", "between kills the learning rate dropped", "d"),
        *(Column(what, what) for what in expected),
    ]
    note = (
        "same: by sha256 of the checkpoint's file, of the history without times, and of weights, optimizer, averages, "
    )
    note += "schedule and random numbers in the last state"
    return ResultTable("How the trainings ended, beside one without kills", columns, rows, [note])


if __name__ == "__main__":
    main()
