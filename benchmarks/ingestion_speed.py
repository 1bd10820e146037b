"""Seconds and peak memory from raw files in the reference's formats to aligned tables; seconds of starting up.

    python benchmarks/ingestion_speed.py

The files are made in a temporary folder, laid out as conf/base/ingestion/catalog.yml says. Each source is read, converted
and written by a process of its own, whose peak memory is therefore its own; one more process does all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from common import (
    REPOSITORY,
    Column,
    Goal,
    ResultTable,
    Section,
    console,
    declared_sources,
    describe_machine,
    parse_arguments,
    random_matrix,
    random_samples,
    read_yaml,
    scratch_folder,
    start,
)
from price_fusion.data.alignment import align_samples, sample_table
from price_fusion.data.products import read_products
from price_fusion.data.readers.embedding_files import read_embeddings
from price_fusion.data.readers.rows import Asked
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from timing import Timings, best_seconds, timed

SECONDS_GOAL, MEMORY_GOAL, START_GOAL = 6.0, 1.5, 2.0
"""Seconds; times the largest source; seconds."""
SMOKE = {"rows": 600, "repeats": 1, "start_repeats": 1}
COMMANDS = {
    "kedro registry list": (["-m", "kedro", "registry", "list"], "predict_moe"),
    "kedro --version": (["-m", "kedro", "--version"], "kedro, version"),
    'python -c "import torch"': (["-c", "import torch; print(torch.__name__)"], "torch"),
}
"""Arguments, and what the command says."""
ALL = "all four and alignment"


# --- raw files ------------------------------------------------------------------------------------------------------


def raw_entry(name: str, raw: Path) -> dict[str, Any]:
    """Where the catalog expects a source's train file, and how it is read."""
    entry = read_yaml("ingestion/catalog.yml")[f"{name}.{{part}}_embeddings"]
    path = entry["filepath"].replace("${globals:raw}", str(raw)).replace("{part}", "train")
    asked = Asked(**{key: entry[key] for key in ("embeddings", "ids") if key in entry})
    return {"path": Path(path), "asked": asked}


def write_raw_source(name: str, raw: Path, rows: int, ids_as: str) -> int:
    """Write a source as the reference's makers did; bytes of its matrix."""
    matrix = random_matrix(rows, declared_sources()[name], seed=len(name), dtype="float32")
    ids, entry = np.arange(rows), raw_entry(name, raw)
    path = entry["path"]
    if path.suffix == ".pkl":
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            pickle.dump(pickled_contents(matrix, ids_as), file)
    else:
        path.mkdir(parents=True, exist_ok=True)
        np.save(path / (entry["asked"].embeddings or "embeddings.npy"), matrix)
        np.save(path / (entry["asked"].ids or "sample_ids.npy"), ids)
    return int(matrix.nbytes)


def pickled_contents(matrix: np.ndarray, ids_as: str) -> dict[str, Any]:
    ids: list[Any] = list(range(len(matrix)))
    if ids_as == "tensors":
        import torch

        ids = [torch.tensor(number) for number in ids]
    return {
        "embeddings": matrix,
        "sample_ids": ids,
        "data_type": "train",
        "embedding_dim": matrix.shape[1],
        "num_samples": len(matrix),
    }


def write_products(raw: Path, rows: int) -> None:
    """train.csv with texts of about 900 characters, as the reference's have."""
    samples = random_samples(rows, [])
    text = "Bullet Point: a product of no particular kind, made of good things, which keeps well.\n" * 10
    products = samples[["sample_id", "price"]].assign(
        catalog_content=[f"Item Name: product {number}\n{text}Value: 12.0\nUnit: Ounce" for number in range(rows)],
        image_link=[f"https://example.org/images/{number}.jpg" for number in range(rows)],
    )
    (raw / "dataset").mkdir(parents=True, exist_ok=True)
    products.to_csv(raw / "dataset/train.csv", index=False)


# --- in a process of its own ----------------------------------------------------------------------------------------


def work(folder: Path, sources: list[str], *, align: bool, repeat: int) -> dict[str, float]:
    """Ingest sources, align them, or both; seconds of each part, rows of what was written, and memory in bytes."""
    at_start, rows = peak_memory(), 0
    seconds = dict.fromkeys(("reading", "writing", "products", "alignment"), 0.0)
    for name in sources:
        started = perf_counter()
        entry = raw_entry(name, folder / "raw")
        raw = read_embeddings(entry.pop("path"), **entry)
        read = perf_counter()
        table = folder / f"tables-{repeat}" / name
        write_table(table, name, draft_table(raw, declared_sources()[name]))
        seconds["reading"] += read - started
        seconds["writing"] += perf_counter() - read
        rows += json.loads((table / "manifest.json").read_text(encoding="utf-8"))["rows"]
        del raw
    if align:
        aligned, taken = align_all(folder, repeat)
        rows, seconds = rows + aligned, seconds | taken
    return seconds | {
        "total": sum(seconds.values()),
        "rows": rows,
        "memory_at_start": at_start,
        "memory": peak_memory(),
    }


def align_all(folder: Path, repeat: int) -> tuple[int, dict[str, float]]:
    """Read the products and find them in all tables; how many are in all of them, and seconds."""
    started = perf_counter()
    products = read_products(folder / "raw/dataset/train.csv", labelled=True)
    read = perf_counter()
    tables = {name: EmbeddingTable(folder / f"tables-{repeat}" / name) for name in declared_sources()}
    samples = sample_table(products, "train_products")
    report = align_samples(samples, tables, policy="keep", unknown_products="error", origin="train_products").report
    seconds = {"products": read - started, "alignment": perf_counter() - read}
    return int(report["rows_in_all_sources"]), seconds


def peak_memory() -> int:
    """Peak resident memory of this process so far, in bytes; pages of mapped files count."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's peak is inherited from the process that started this one
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_fresh_process(folder: Path, sources: list[str], *, align: bool, repeat: int) -> dict[str, float]:
    """``work`` in a new interpreter."""
    order = json.dumps({"folder": str(folder), "sources": sources, "align": align, "repeat": repeat})
    result = subprocess.run(
        [sys.executable, __file__, "--worker", order], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(result.stdout)
    return found


# --- tables ---------------------------------------------------------------------------------------------------------


def measure_ingestion(options: argparse.Namespace) -> tuple[list[dict[str, Any]], int]:
    """One row per process, medians over repeats, and the bytes of the largest source."""
    from peaks import COPIED_FLOATS, copy_rate  # brings torch, which the processes that are measured do without

    names = list(declared_sources())
    jobs = {name: ([name], False) for name in names} | {"alignment": ([], True), ALL: (names, True)}
    with scratch_folder(options) as scratch:
        folder = Path(scratch)
        sizes = {name: write_raw_source(name, folder / "raw", options.rows, options.ids) for name in names}
        write_products(folder / "raw", options.rows)
        console.print(f"raw files written: {sum(sizes.values()) / 1e6:,.0f} MB of vectors", style="dim")
        os.sync()
        runs: dict[str, list[dict[str, float]]] = {job: [] for job in jobs}
        for repeat in range(options.repeats):
            for job, (sources, align) in jobs.items():
                runs[job].append(in_fresh_process(folder, sources, align=align, repeat=repeat))
                console.print(f"repeat {repeat + 1}, {job}: {runs[job][-1]['total']:.2f} s", style="dim")
        csv_size = (folder / "raw/dataset/train.csv").stat().st_size
    largest = max(sizes.values())
    bandwidth = copy_rate(COPIED_FLOATS, 0.1)
    rows = []
    for job, found in runs.items():
        sources, align = jobs[job]
        read = sum(sizes[name] for name in sources) + csv_size * align
        refuse_impossible(job, found, options.rows * (len(sources) + align), read / bandwidth)
        medians = {key: float(np.median([run[key] for run in found])) for key in found[0]}
        rows.append({"job": job, "size": sizes.get(job), **medians})
    rows[-1]["size"] = sum(sizes.values())
    rows.insert(-1, sum_of_parts(rows[:-1]))
    return [with_units(row, largest) for row in rows], largest


def refuse_impossible(job: str, runs: list[dict[str, float]], rows: int, floor: float) -> None:
    """See that each process left all rows, and was no faster than copying what it read takes.

    Raises:
        ImpossibleFigureError: if one did not, or was.
    """
    times = Timings(f"ingestion, {job}", rows)
    for run in runs:
        times.note(int(run["rows"]), run["total"])
    times.median(floor)


def sum_of_parts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds add up over the processes; memory is the largest of theirs."""
    seconds = {key: sum(row[key] for row in rows) for key in ("reading", "writing", "products", "alignment", "total")}
    memory = {key: max(row[key] for row in rows) for key in ("memory_at_start", "memory")}
    return {"job": "sum (memory: largest)", "size": sum(row["size"] or 0 for row in rows), **seconds, **memory}


def with_units(row: dict[str, Any], largest: int) -> dict[str, Any]:
    return row | {
        "size": row["size"] and row["size"] / 1e6,
        "memory_at_start": row["memory_at_start"] / 1e6,
        "memory": row["memory"] / 1e6,
        "times": row["memory"] / largest,
    }


def ingestion_table(rows: list[dict[str, Any]], options: argparse.Namespace, largest: int) -> ResultTable:
    """Seconds and memory of each process."""
    columns = (
        Column("job", "process"),
        Column("size", "vectors, MB", ",.0f"),
        Column("reading", "reading, s", ".2f"),
        Column("writing", "table, s", ".2f"),
        Column("products", "train.csv, s", ".2f"),
        Column("alignment", "alignment, s", ".2f"),
        Column("total", "total, s", ".2f"),
        Column("memory_at_start", "memory at start, MB", ",.0f"),
        Column("memory", "peak memory, MB", ",.0f"),
        Column("times", "peak / largest source", ".2f"),
    )
    notes = [
        f"medians of {options.repeats}; files in the page cache, having just been written; reading .npy maps it, so its pages "
        "are read while the table is written; tables are flushed to the disk",
        f"peak memory: resident, mapped pages of files included; largest source: {largest / 1e6:,.0f} MB. Starting the "
        "interpreter and importing is not in the seconds, and is in the memory",
    ]
    return ResultTable(f"Ingestion of {options.rows:,} products", columns, rows, notes)


def started(arguments: list[str], said: str) -> int:
    """Start the interpreter; 1 if it said what it should."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(said in result.stdout)


def start_up_table(repeats: int) -> ResultTable:
    """Seconds of starting commands."""
    floor = best_seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 0.2)
    rows = []
    for label, (arguments, said) in COMMANDS.items():
        times = timed(label, 1, partial(started, arguments, said), repeats, "commands")
        rows.append({"command": label, "seconds": times.median(floor), "fastest": min(times.seconds)})
    columns = (
        Column("command", "command"),
        Column("seconds", "median, s", ".2f"),
        Column("fastest", "fastest, s", ".2f"),
    )
    return ResultTable("Start-up", columns, rows, [f"median of {repeats} after one that is not counted"])


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        order = json.loads(sys.argv[2])
        found = work(Path(order["folder"]), order["sources"], align=order["align"], repeat=order["repeat"])
        sys.stdout.write(json.dumps(found))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=75_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ids", choices=["ints", "tensors"], default="ints", help="how the pickle holds its ids")
    parser.add_argument("--start-repeats", type=int, default=5)
    options = parse_arguments(parser, SMOKE)
    start("ingestion speed")
    data = (
        f"random float32 files in the reference's formats, {options.rows:,} rows; ids of the pickle are {options.ids}"
    )
    section = Section("ingestion_speed", "Ingestion and start-up", data, machine=describe_machine(with_torch=False))
    rows, largest = measure_ingestion(options)
    start_up = start_up_table(options.start_repeats)
    section.tables += [ingestion_table(rows, options, largest), start_up]
    for row in rows[-2:]:
        place = "a process each" if row["job"] != ALL else "one process"
        section.goals += [
            Goal(f"ingestion, {place}: total", SECONDS_GOAL, row["total"], "s", at_least=False),
            Goal(f"ingestion, {place}: peak / largest source", MEMORY_GOAL, row["times"], "times", at_least=False),
        ]
    section.goals.append(Goal("kedro registry list", START_GOAL, start_up.rows[0]["seconds"], "s", at_least=False))
    section.finish(options)


if __name__ == "__main__":
    main()
