"""What all benchmarks share: arguments, the machine, result sections, and fabricated tables.

A benchmark ends in a ``Section``: tables of numbers with units, goals, and the command, data and machine they belong to.
It is printed and written as JSON; ``report.py`` turns all of them into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from price_fusion.parameters import SourceParameters, VariantParameters

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
BUSY = 0.25
"""Load per core from which a machine counts as busy."""
MEASURED = ("src", "conf", "benchmarks/*.py", "tests/robustness/*.py")
"""Code that decides figures."""
NOT_SHOWN = ("--data", "--output", "--scratch", "--revision")
POOL_ROWS = 16_384
"""Different rows of a fabricated matrix; longer ones repeat them, which no kernel and no disk notices."""

console = Console(width=None if sys.stdout.isatty() else 160)


# --- arguments ------------------------------------------------------------------------------------------------------


def parse_arguments(parser: argparse.ArgumentParser, smoke: Mapping[str, Any]) -> argparse.Namespace:
    """Add ``--output``, ``--scratch``, ``--revision`` and ``--smoke``, and parse.

    Args:
        parser: with the benchmark's own options, whose defaults are the full sizes.
        smoke: defaults under ``--smoke``.
    """
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs; figures mean nothing")
    parser.add_argument("--output", type=Path, help="folder for the JSON (default: benchmarks/results)")
    parser.add_argument("--scratch", type=Path, help="where temporary folders go (default: the system's)")
    parser.add_argument("--revision", help="commit of the code, where it is a copy without git's history")
    options = parser.parse_args()
    if options.smoke:
        parser.set_defaults(**smoke)
        options = parser.parse_args()
    if options.output is None:
        options.output = Path(tempfile.mkdtemp(prefix="price_fusion_smoke_")) if options.smoke else RESULTS
    return options


def command_line() -> str:
    """The command as typed, without the options that say where files go and come from."""
    words = iter(sys.argv[1:])
    kept: list[str] = []
    for word in words:
        if word in NOT_SHOWN:
            next(words, None)
        elif not word.startswith(tuple(f"{option}=" for option in NOT_SHOWN)):
            kept.append(word)
    return shlex.join(["python", *_program(), *kept])


def _program() -> list[str]:
    """The benchmark as the interpreter's arguments name it: a script, or a module of ``python -m``."""
    module = sys.modules["__main__"].__spec__
    return ["-m", module.name] if module else [f"benchmarks/{Path(sys.argv[0]).name}"]


def scratch_folder(options: argparse.Namespace) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder that goes when its block ends."""
    return tempfile.TemporaryDirectory(prefix="price_fusion_", dir=options.scratch)


# --- the machine ----------------------------------------------------------------------------------------------------


def describe_machine(*, with_torch: bool = True) -> dict[str, Any]:
    """CPU, memory, versions and threads. torch is imported only if asked for."""
    description: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
    }
    if with_torch:
        import torch

        description["threads"] = torch.get_num_threads()
        description["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        description["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return description


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    bf16 = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags.split()]
    return ", ".join([names[0] if names else platform.processor() or platform.machine(), *bf16])


def revision() -> str:
    """Commit of the code, with a plus sign where files differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no", *MEASURED) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return result.stdout.strip()


# --- result sections ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A column of a result table: its key in the rows, what it is called (with its unit), and how it is formatted."""

    key: str
    label: str
    form: str = ""


@dataclass(frozen=True)
class ResultTable:
    """Rows of numbers under named columns."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Goal:
    """A goal and how far it was reached."""

    name: str
    wanted: float
    measured: float
    unit: str
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    @property
    def verdict(self) -> str:
        """Whether it was reached, and how far off it is if not."""
        if self.met:
            return "met"
        if not self.wanted:
            return f"not met: {self.measured:,g} instead of none"
        off = self.measured / self.wanted
        return f"not met: {100 * off:.0f} % of it" if self.at_least else f"not met: {off:.2f} times as much"


@dataclass
class Section:
    """What one benchmark found."""

    name: str
    title: str
    data: str
    tables: list[ResultTable] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    """Numbers that other programs ask for by name."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Measurements that are not among the tables, and why."""
    machine: dict[str, Any] = field(default_factory=describe_machine)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """Load average of the last minute when the benchmark started."""

    def show(self) -> None:
        """Print tables, goals and what was left out."""
        for table in self.tables:
            console.print(_printable(table))
            for note in table.notes:
                console.print(f"  {note}", style="dim", highlight=False)
        for goal in self.goals:
            relation = ">=" if goal.at_least else "<="
            measured = f"{goal.measured:,.0f}" if goal.measured >= 1000 else f"{goal.measured:.3g}"
            console.print(f"goal: {goal.name} {relation} {goal.wanted:,g} {goal.unit}: {measured}, {goal.verdict}")
        for what, why in self.left_out.items():
            console.print(f"left out: {what}: {why}", style="yellow", highlight=False)

    def write(self, options: argparse.Namespace) -> Path:
        """Write the JSON; the file is whole or absent.

        Raises:
            ValueError: if a figure is NaN or infinite.
        """
        document = {
            "name": self.name,
            "title": self.title,
            "command": command_line(),
            "data": self.data,
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "revision": options.revision or revision(),
            "smoke": options.smoke,
            "machine": self.machine,
            "load_at_start": round(self.load, 2),
            "tables": [asdict(table) for table in self.tables],
            "goals": [asdict(goal) | {"met": bool(goal.met), "verdict": goal.verdict} for goal in self.goals],
            "values": self.values,
            "left_out": self.left_out,
        }
        path: Path = options.output / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(_rounded(document), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(path)
        return path

    def finish(self, options: argparse.Namespace) -> None:
        """Show and write."""
        self.show()
        console.print(f"written to {self.write(options)}", highlight=False)


def start(title: str) -> None:
    """Say what begins, and warn where others are using the machine."""
    console.rule(title)
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load / cores > BUSY:
        console.print(f"this machine is busy (load {load:.1f} on {cores} cores): figures will be low", style="yellow")


def formatted(value: object, form: str) -> str:
    """A value as it appears in tables."""
    if value is None:
        return ""
    return format(value, form)


def _printable(table: ResultTable) -> Table:
    printable = Table(title=table.title, title_justify="left")
    for column in table.columns:
        printable.add_column(column.label, justify="right" if column.form else "left")
    for row in table.rows:
        printable.add_row(*(formatted(row.get(column.key), column.form) for column in table.columns))
    return printable


def _rounded(value: Any) -> Any:
    """Floats to 6 digits, so that the files stay small and their differences readable."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


# --- configuration --------------------------------------------------------------------------------------------------


def read_yaml(path: str) -> dict[str, Any]:
    """A YAML file below ``conf/base``."""
    contents: dict[str, Any] = yaml.safe_load((REPOSITORY / "conf/base" / path).read_text(encoding="utf-8"))
    return contents


def declared_sources() -> dict[str, SourceParameters]:
    """The sources of embeddings in ``conf/base``: those of the reference, in its widths."""
    declarations = read_yaml("ingestion/parameters.yml")["sources"]
    return {
        name: SourceParameters.model_validate(values)
        for name, values in declarations.items()
        if values.get("kind", "embeddings") == "embeddings"
    }


def declared_variant(name: str) -> VariantParameters:
    """A variant of ``conf/reference``: the sizes that speed has been measured on from the start, embeddings alone."""
    return VariantParameters.model_validate(read_yaml("../reference/parameters.yml")[name] | _reference_sources(name))


def _reference_sources(name: str) -> dict[str, Any]:
    sources: dict[str, Any] = read_yaml("../reference/parameters_sources.yml")[name]
    return sources


# --- fabricated tables ----------------------------------------------------------------------------------------------


def random_matrix(rows: int, source: SourceParameters, seed: int, dtype: str = "float16") -> NDArray[Any]:
    """Random embeddings, with quantities in the structural columns, (rows, width)."""
    generator = np.random.default_rng(seed)
    pool = generator.standard_normal((min(rows, POOL_ROWS), source.width), dtype=np.float32)
    quantities = pool[:, source.embedding_width :]
    quantities[:] = np.exp(2 * quantities).clip(0, 10_000)
    pool = pool.astype(dtype)
    return pool if rows <= POOL_ROWS else pool[generator.integers(0, POOL_ROWS, rows)]


def write_random_tables(
    folder: Path, sources: Mapping[str, SourceParameters], rows: int, seed: int = 0
) -> dict[str, EmbeddingTable]:
    """Embedding tables in float16, as ingestion writes them."""
    tables = {}
    for number, (name, source) in enumerate(sources.items()):
        matrix = random_matrix(rows, source, seed + number)
        raw = RawEmbeddings.from_arrays(np.arange(rows), matrix, f"random {name}")
        write_table(folder / name, name, draft_table(raw, source))
        tables[name] = EmbeddingTable(folder / name)
    return tables


def random_samples(rows: int, sources: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """A sample table whose products are in every source, with prices spread as the reference's are."""
    generator = np.random.default_rng(seed)
    samples = pd.DataFrame({"sample_id": np.arange(rows), "price": generator.lognormal(2.65, 1.0, rows)})
    samples["group_key"] = np.arange(rows)
    return samples


def random_split(rows: int, train_rows: int, seed: int = 0) -> pd.DataFrame:
    """A split table with so many train rows, drawn from all rows, a few validation rows, and the rest in the holdout."""
    order = np.random.default_rng(seed).permutation(rows)
    split = np.full(rows, "holdout", dtype=object)
    split[order[:train_rows]] = "train"
    split[order[train_rows : train_rows + max(1, rows // 100)]] = "validation"
    return pd.DataFrame({"sample_id": np.arange(rows), "split": split, "fold": 0, "tuned_on": False})
