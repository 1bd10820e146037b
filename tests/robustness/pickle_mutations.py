"""What single mutations of small pickles do to the reading of them, counted by outcome.

    python -m tests.robustness.pickle_mutations --count 2000

The files of tests/data/readers/pickles/files are mutated, each as often: cut off, one bit flipped, or two blocks swapped. A
mutation is read by the code that a catalog's entry runs, in a child process with its limits; the child is forked, so that
Python and numpy start once. ``--start-each`` starts an interpreter for each one instead, as a run does (0.15 s each).
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from benchmarks.common import Column, Goal, ResultTable, Section, console, parse_arguments, start
from numpy.typing import NDArray

from price_fusion.data.readers.pickles.child import Request, serve, set_limits
from price_fusion.data.readers.pickles.process import Limits, collect, exchange_folder, read_pickle
from price_fusion.data.readers.published_digests import check_digests
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.rows import Asked, FoundRows
from price_fusion.errors import AlignmentError, DataError, PriceFusionError, UnsafePickleError
from price_fusion.storage.files import sha256

PICKLES = Path(__file__).parents[1] / "data/readers/pickles/files"
ASKED = Asked(memory_gb=2, seconds=5)
LIMITS = Limits.of(0, ASKED.memory_gb, ASKED.seconds)

Outcome = Literal[
    "right answer",
    "other numbers",
    "other ids",
    "other shape or type",
    "refused",
    "limit",
    "crash of the child",
    "unnamed",
]
SILENT: tuple[Outcome, ...] = ("other numbers", "other ids", "other shape or type")
"""Loaded without a word, and not what was written."""
OUTCOMES: tuple[Outcome, ...] = ("right answer", *SILENT, "refused", "limit", "crash of the child", "unnamed")


@dataclass(frozen=True)
class Tally:
    """Counts for one file: outcomes, and silent ones that a digest would not have noticed either."""

    outcomes: Counter[str]
    unnoticed_with_digest: int


def mutated(whole: bytes, source: random.Random) -> bytes:
    """One mutation that changes something."""
    while True:
        kind = source.choice(["cut", "flip", "swap"])
        if kind == "cut":
            data = whole[: source.randrange(len(whole))]
        elif kind == "flip":
            data = bytearray(whole)
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
        else:
            length = source.randint(1, len(whole) // 4)
            first = source.randrange(len(whole) - 2 * length + 1)
            second = source.randrange(first + length, len(whole) - length + 1)
            data = bytearray(whole)
            data[first : first + length], data[second : second + length] = (
                whole[second : second + length],
                whole[first : first + length],
            )
        if bytes(data) != whole:
            return bytes(data)


def judged(found: FoundRows, path: Path) -> RawEmbeddings:
    """What a run makes of the rows of a file."""
    return RawEmbeddings.from_arrays(found.ids, found.vectors, str(path), nulls=found.nulls)


def read_forked(path: Path, kind: str = "pickle", origin: str | None = None, ids: str | None = None) -> FoundRows:
    """As ``read_pickle``, with a fork of this process in place of a new interpreter."""
    name = origin or str(path)
    with exchange_folder() as folder:
        request = Request(str(path), name, kind, str(folder), None, ids, LIMITS.memory, LIMITS.seconds, os.getpid())
        child = os.fork()
        if child == 0:
            _serve_and_end(request)
        _, status = os.waitpid(child, 0)
        return collect(name, folder, os.waitstatus_to_exitcode(status), LIMITS)


def _serve_and_end(request: Request) -> None:
    try:
        os.dup2(os.open(Path(request.folder) / "stderr", os.O_WRONLY | os.O_CREAT), sys.stderr.fileno())
        set_limits(request.memory, request.seconds)
        serve(request)
        os._exit(0)
    finally:
        # Only after an exception that nobody expected.
        os._exit(1)


def outcome_of(path: Path, ids: NDArray[np.int64], vectors: NDArray[np.floating], start_each: bool) -> Outcome:
    """How reading one file ends."""
    try:
        raw = judged(read_pickle(path, ASKED) if start_each else read_forked(path), path)
    except (DataError, UnsafePickleError, AlignmentError) as error:
        return _named(path, error)
    if raw.vectors.shape != vectors.shape or raw.vectors.dtype != vectors.dtype:
        return "other shape or type"
    if not np.array_equal(raw.ids, ids):
        return "other ids"
    return "right answer" if np.array_equal(raw.vectors, vectors) else "other numbers"


def _named(path: Path, error: PriceFusionError) -> Outcome:
    message = str(error)
    if not message.startswith(str(path)) or "ended without a result" in message:
        return "unnamed"
    if "crashed the process" in message:
        return "crash of the child"
    return "limit" if "reading it takes more than" in message else "refused"


def tally(pickle: Path, count: int, folder: Path, *, start_each: bool, seed: int) -> Tally:
    """Mutate one file ``count`` times and read each mutation."""
    right = judged(read_pickle(pickle, ASKED), pickle)
    digest, whole = sha256(pickle), pickle.read_bytes()
    source = random.Random(f"{seed} {pickle.name}")  # noqa: S311 - nothing here is secret
    outcomes: Counter[str] = Counter()
    unnoticed = 0
    path = folder / "mutated.pkl"
    for _ in range(count):
        path.write_bytes(mutated(whole, source))
        outcome = outcome_of(path, right.ids, right.vectors, start_each)
        outcomes[outcome] += 1
        unnoticed += outcome in SILENT and _passes(path, digest)
    return Tally(outcomes, unnoticed)


def _passes(path: Path, digest: str) -> bool:
    try:
        check_digests(path, digest, [])
    except DataError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2_000, help="mutations, of all pickles together")
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--start-each", action="store_true", help="a new interpreter for each mutation")
    options = parse_arguments(parser, {"count": 5})
    start("Damage to pickles")
    pickles = [path for path in sorted(PICKLES.glob("*.pkl")) if "frame-numbered" not in path.name]  # refused whole
    share = -(-options.count // len(pickles))
    rows = []
    with exchange_folder() as folder:
        for pickle in pickles:
            found = tally(pickle, share, folder, start_each=options.start_each, seed=options.seed)
            counts = {outcome: found.outcomes[outcome] for outcome in OUTCOMES}
            rows.append({"file": pickle.stem, **counts, "unnoticed": found.unnoticed_with_digest})
            console.print(f"{pickle.stem}: {dict(found.outcomes)}", highlight=False)
    total: dict[str, Any] = {key: sum(row[key] for row in rows) for key in (*OUTCOMES, "unnoticed")}
    columns = [Column("file", "pickle"), *(Column(outcome, outcome, ",d") for outcome in OUTCOMES)]
    columns.append(Column("unnoticed", "unnoticed with sha256", ",d"))
    note = (
        "other numbers, ids, shape or type: a pickle has no checksum of its own; `sha256` in the catalog entry is one"
    )
    crashed = total["crash of the child"] + total["unnamed"]
    started = "a new interpreter each" if options.start_each else "a fork of one interpreter each, with the same limits"
    Section(
        "pickle_mutations",
        "Damage to pickles",
        f"{share * len(pickles):,} mutations of {len(pickles)} small pickles of several versions of numpy, pandas and torch, "
        f"drawn at seed {options.seed}; {started}",
        tables=[ResultTable("Outcomes of reading", columns, [*rows, {"file": "all", **total}], [note])],
        goals=[
            Goal("damaged pickles that end in a crash or without a name", 0, crashed, "of all", at_least=False),
            Goal("damage unnoticed with sha256", 0, total["unnoticed"], "of all", at_least=False),
        ],
        values=total,
    ).finish(options)


if __name__ == "__main__":
    main()
