"""Records of past runs: reading, listing and comparing them."""

from __future__ import annotations

import difflib
import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from price_fusion.errors import UsageError
from price_fusion.parameters.base import fields_of
from price_fusion.storage.lock import writer_of

RECORD = "run.json"
Record = Mapping[str, Any]
MOST_DIFFERENCES = 4
"""That a list spells out; the others are counted."""
REASON_LENGTH = 160
"""Characters of an error in a list at most; ``show`` has the whole message."""


def runs_folder(data: Path) -> Path:
    """Where records are."""
    return data / "08_reporting" / "runs"


def past_runs(data: Path) -> list[Record]:
    """All records that can be read, the oldest first; a run that was killed says so."""
    found = []
    for path in sorted(runs_folder(data).glob(f"*/{RECORD}")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            record = {"id": path.parent.name, "status": "unreadable"}
        found.append(record)
    if any(record["status"] == "running" for record in found):
        writer = writer_of(data)
        for record in found:
            if record["status"] == "running" and record["id"] != writer:
                record["status"] = "killed"
    return found


def find_run(runs: Sequence[Record], name: str) -> Record:
    """The run of that id, or of the only id that contains it.

    Raises:
        UsageError: if there is none, or there are several.
    """
    matching = [run for run in runs if run["id"] == name] or [run for run in runs if name in run["id"]]
    if len(matching) == 1:
        return matching[0]
    ids = [run["id"] for run in (matching or runs)]
    near = (matching and ids) or difflib.get_close_matches(name, ids, n=3, cutoff=0.3)
    hint = f"Did you mean {' or '.join(near[:3])}?" if near else "See all: kedro price-fusion runs"
    raise UsageError(f"{len(matching)} runs are called {name!r}, expected one. {hint}")


def parameter_differences(runs: Sequence[Record]) -> dict[str, list[Any]]:
    """Parameters that are not the same in all runs, by their path: a value per run, None where it has none."""
    flat = [fields_of(run.get("parameters", {})) for run in runs]
    paths = dict.fromkeys(path for one in flat for path in one)
    values = {path: [one.get(path) for one in flat] for path in paths}
    return {path: found for path, found in values.items() if any(value != found[0] for value in found[1:])}


def smape_of(run: Record) -> dict[str, float]:
    """SMAPE of each model that a run evaluated, in percent."""
    return {
        model: figures["metrics"]["smape"]
        for model, figures in run.get("metrics", {}).items()
        if isinstance(figures.get("metrics", {}).get("smape"), int | float)  # a user's own may be something else
    }


def reason_of(run: Record) -> str:
    """Why a run failed: how its error begins, in one line, with paths from the current folder on; empty without an error."""
    error = run.get("error")
    text = f"{error['class']}: {error['message']}" if error else ""
    return textwrap.shorten(text.replace(f"{Path.cwd()}{os.sep}", ""), REASON_LENGTH, placeholder=" ...")


def runs_table(runs: Sequence[Record]) -> Table:
    """A run a line, the oldest first, with why it failed and what differs from the one before."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("run", "status"):
        table.add_column(heading, overflow="fold")
    table.add_column("s", justify="right")
    table.add_column("SMAPE %")
    table.add_column("commit")
    table.add_column("error; other parameters than in the run before", overflow="fold")
    for before, run in zip([None, *runs[:-1]], runs, strict=True):
        smape = ", ".join(f"{model} {value:.2f}" for model, value in smape_of(run).items())
        changed = parameter_differences([before, run]) if before is not None else {}
        shown = [f"{path}={values[1]}" for path, values in list(changed.items())[:MOST_DIFFERENCES]]
        more = [f"and {len(changed) - len(shown)} more"] if len(changed) > len(shown) else []
        seconds = f"{run['seconds']:.0f}" if "seconds" in run else ""
        said = [text for text in (Text(reason_of(run), style="red"), Text(", ".join(shown + more))) if text]
        table.add_row(run["id"], run["status"], seconds, smape, _commit(run), Text("\n").join(said))
    return table


def comparison_tables(runs: Sequence[Record]) -> list[Table]:
    """Metrics of runs side by side, and the parameters that differ."""
    metrics = Table(title="Metrics", title_justify="left", box=box.SIMPLE_HEAD)
    parameters = Table(title="Parameters that differ", title_justify="left", box=box.SIMPLE_HEAD)
    for table, heading in ((metrics, "of"), (parameters, "parameter")):
        table.add_column(heading)
        for run in runs:
            table.add_column(run["id"], justify="right", overflow="fold")
    flat = [fields_of(run.get("metrics", {})) for run in runs]
    for path in dict.fromkeys(path for one in flat for path in one):
        metrics.add_row(path, *(_formatted(one.get(path)) for one in flat))
    metrics.add_row("commit", *(_commit(run) for run in runs))
    metrics.add_row("code", *(run.get("code", "") for run in runs))
    for path, values in parameter_differences(runs).items():
        parameters.add_row(path, *(_formatted(value) for value in values))
    return [metrics, parameters]


def _commit(run: Record) -> str:
    git = run.get("git")
    return f"{git['commit'][:8]}{'+' if git['changed'] else ''}" if git else ""


def _formatted(value: Any) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
