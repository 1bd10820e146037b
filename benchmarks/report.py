"""Write docs/benchmarks.md and docs/reliability.md from the JSON files that the benchmarks left.

    python benchmarks/report.py

Any JSON file in the format of ``common.Section`` gets a section: in reliability.md if its name is among ``RELIABILITY``, and
else in benchmarks.md. A file benchmarks/remarks/<name>.md, where there is one, goes below the tables of its section: what the
figures cannot say themselves, such as why a goal is missed; remarks/introduction_<document>.md goes above all sections.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import BUSY, REPOSITORY, RESULTS, console, formatted

ORDER = (
    "peaks",
    "training_speed",
    "scoring_speed",
    "ingestion_speed",
    "report_speed",
    "estimator_speed",
    "scale",
    "scale_training",
    "losses",
    "averaging",
    "curve",
    "curve_fabricated",
    "accuracy",
    "accuracy_full",
    "final_fit",
    "choices",
    "gpu_speed",
    "gpu_run",
    "gpu_ensemble",
    "gpu_tests",
    "gpu_kills",
)
RELIABILITY = ("kills", "mutations", "csv_mutations", "pickle_mutations", "format_mutations", "fuzzing")
"""Sections of docs/reliability.md; all others are of docs/benchmarks.md."""
MACHINE_LABELS = {
    "cpu": "CPU",
    "cores": "cores",
    "memory_gib": "memory, GiB",
    "gpu": "GPU",
    "system": "system",
    "python": "Python",
    "torch": "torch",
    "numpy": "numpy",
    "cpu_capability": "instructions torch uses",
}
Document = Mapping[str, Any]


def read_sections(folder: Path) -> list[Document]:
    """All results, in the order of the document; others follow by name."""
    sections = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    places = {name: place for place, name in enumerate((*ORDER, *RELIABILITY))}
    return sorted(sections, key=lambda section: (places.get(section["name"], len(places)), section["name"]))


def markdown_table(columns: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, Any]]) -> str:
    """A table in Markdown; numbers to the right."""
    head = "| " + " | ".join(column["label"] for column in columns) + " |"
    rule = "|" + "|".join("---:" if column["form"] else "---" for column in columns) + "|"
    lines = [
        "| " + " | ".join(formatted(row.get(column["key"]), column["form"]) for column in columns) + " |"
        for row in rows
    ]
    return "\n".join([head, rule, *lines])


def machines(sections: Sequence[Document]) -> str:
    """Each machine that figures are of, with the peaks measured there."""
    peaks = {_machine_key(section): section["values"] for section in sections if section["name"] == "peaks"}
    parts = ["## Machine" if len(_machines(sections)) == 1 else "## Machines"]
    for number, (key, machine) in enumerate(_machines(sections).items(), start=1):
        rows = [
            {"what": label, "value": str(machine[field])}
            for field, label in MACHINE_LABELS.items()
            if machine.get(field) is not None
        ]
        if key in peaks:
            found = peaks[key]
            value = (
                f"{found['float32_gflops']:,.0f} GFLOP/s in float32, {found['bf16_gflops']:,.0f} in bf16; copying "
                f"{found['copy_gb_per_s']:.1f} GB/s, read and written"
            )
            rows.append({"what": "measured peaks", "value": value})
        columns = [
            {"key": "what", "label": f"machine {number}", "form": ""},
            {"key": "value", "label": "", "form": ""},
        ]
        parts.append(markdown_table(columns, rows))
    return "\n\n".join(parts)


def _machine_key(section: Document) -> str:
    machine = section["machine"]
    return json.dumps([machine.get(field) for field in ("cpu", "cores", "memory_gib", "torch", "gpu")])


def _machines(sections: Sequence[Document]) -> dict[str, dict[str, Any]]:
    """Machines by what tells them apart, with all that any section knows of them."""
    found: dict[str, dict[str, Any]] = {}
    for section in sections:
        known = {field: value for field, value in section["machine"].items() if value is not None}
        found.setdefault(_machine_key(section), {}).update(known)
    return found


def goals(sections: Sequence[Document]) -> str:
    """All goals in one table."""
    rows = []
    for section in sections:
        for goal in section["goals"]:
            relation = "at least" if goal["at_least"] else "at most"
            rows.append(
                {
                    "goal": goal["name"],
                    "wanted": f"{relation} {goal['wanted']:,g} {goal['unit']}",
                    "measured": f"{_short(goal['measured'])} {goal['unit']}",
                    "verdict": goal["verdict"],
                    "section": f"[{section['title']}](#{_anchor(section['title'])})",
                }
            )
    columns = [{"key": key, "label": key, "form": ""} for key in ("goal", "wanted", "measured", "verdict", "section")]
    return "## Goals\n\n" + (markdown_table(columns, rows) if rows else "None measured.")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _anchor(title: str) -> str:
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter == "-")


def describe(section: Document, number: int, machine_count: int, remarks: Path) -> str:
    """One section: where its figures come from, its tables, and remarks."""
    cores = section["machine"]["cores"]
    facts = [f"Command: `{section['command']}`", f"Data: {section['data']}"]
    place = f", machine {number}" if machine_count > 1 else ""
    threads = section["machine"].get("threads")
    place += f", {threads} thread(s) of torch" if threads else ""
    facts.append(f"Date: {section['date']}, commit {section['revision']}{place}")
    if section["smoke"]:
        facts.append("**Tiny sizes of a smoke test: these figures mean nothing.**")
    if section["load_at_start"] / cores > BUSY:
        facts.append(f"**The machine was busy when this began: load {section['load_at_start']} on {cores} cores.**")
    parts = [f"## {section['title']}", "\n".join(f"- {fact}" for fact in facts)]
    for table in section["tables"]:
        parts += [f"### {table['title']}", markdown_table(table["columns"], table["rows"])]
        parts += ["\n".join(f"- {note}" for note in table["notes"])] if table["notes"] else []
    left_out = section.get("left_out", {})
    if left_out:
        parts += ["Left out:", "\n".join(f"- {what}: {why}" for what, why in left_out.items())]
    remark = remarks / f"{section['name']}.md"
    if remark.exists():
        parts += ["### Remarks", remark.read_text(encoding="utf-8").strip()]
    return "\n\n".join(parts)


def report(introduction: str, sections: Sequence[Document], remarks: Path) -> str:
    """A whole document."""
    numbers = {key: number for number, key in enumerate(_machines(sections), start=1)}
    described = [describe(section, numbers[_machine_key(section)], len(numbers), remarks) for section in sections]
    return "\n\n".join([introduction.strip(), machines(sections), goals(sections), *described]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder with the JSON files")
    parser.add_argument("--remarks", type=Path, default=REPOSITORY / "benchmarks/remarks")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "docs", help="folder of the documents")
    options = parser.parse_args()
    sections = read_sections(options.results)
    if not sections:
        raise SystemExit(f"{options.results}: no results. Run the benchmarks first.")
    of_reliability = [section for section in sections if section["name"] in RELIABILITY]
    others = [section for section in sections if section["name"] not in RELIABILITY]
    for name, chosen in (("benchmarks", others), ("reliability", of_reliability)):
        if chosen:
            introduction = (options.remarks / f"introduction_{name}.md").read_text(encoding="utf-8")
            path = options.output / f"{name}.md"
            path.write_text(report(introduction, chosen, options.remarks), encoding="utf-8")
            console.print(f"{len(chosen)} section(s) written to {path}", highlight=False)


if __name__ == "__main__":
    main()
