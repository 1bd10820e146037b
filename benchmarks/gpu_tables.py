"""The tables that figures of a GPU go to, one row a measurement."""

from __future__ import annotations

import argparse
from typing import Any

from common import Column, Goal, ResultTable
from peaks import Peaks

EPOCH_GOALS = {"moe": 40.0, "hierarchical": 60.0}
"""Milliseconds an epoch of 60,000 rows on an H200."""
TRAINING = [
    Column("variant", "variant"),
    Column("parameters", "parameters", ",.0f"),
    Column("way", "way"),
    Column("rate", "rows/s", ",.0f"),
    Column("epoch", "ms an epoch", ",.0f"),
    Column("validated", "ms with validation", ",.0f"),
    Column("floor", "floor, ms", ",.0f"),
    Column("share", "share of what the peaks allow, %", ",.0f"),
    Column("first", "first epoch, s", ".1f"),
]
STEPS = [
    Column("variant", "variant"),
    Column("kernels", "kernels and copies a step", ",d"),
    Column("busy", "us in them", ",.0f"),
    Column("recorded", "us a step with the graph", ",.0f"),
    Column("eager", "us a step without", ",.0f"),
]
MEMBERS = [
    Column("variant", "variant"),
    Column("members", "members", "d"),
    Column("epoch", "ms an epoch of all", ",.0f"),
    Column("each", "ms a member", ",.1f"),
    Column("rate", "rows/s of all", ",.0f"),
]
SCORING = [
    Column("variant", "variant"),
    Column("precision", "multiplies in"),
    Column("rate", "rows/s", ",.0f"),
    Column("ceiling", "ceiling, rows/s", ",.0f"),
    Column("share", "share of it, %", ".1f"),
]
MEMORY = [
    Column("variant", "variant"),
    Column("size", "features, MB", ",.0f"),
    Column("seconds", "upload, s", ".2f"),
    Column("speed", "GB/s", ".1f"),
    Column("peak", "peak memory of training, GB", ".2f"),
]


class Figures:
    """Rows of all tables, and the goals that follow from them."""

    def __init__(self, peaks: Peaks, options: argparse.Namespace) -> None:
        self.training: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []
        self.members: list[dict[str, Any]] = []
        self.scoring: list[dict[str, Any]] = []
        self.memory: list[dict[str, Any]] = []
        self.goals: list[Goal] = []
        measured = (
            f"peaks of this process: {peaks.float32 / 1e12:,.1f} TFLOP/s in float32, {peaks.bf16 / 1e12:,.1f} in bf16, "
            f"copying {peaks.copy / 1e9:,.0f} GB/s (read and written)"
        )
        training_notes = [
            f"medians of {options.repeats} epochs after one that is not counted; without validation, but for one column",
            "floor: the operations that torch counts in a step at the peak, and 28 P bytes a step at the copy rate",
            measured,
            f"plain loop: float32, medians of {options.repeats} times {options.plain_steps} steps, pinned batches of a "
            "DataLoader; an epoch of it is worked out from its rows/s",
        ]
        self.tables = [
            ResultTable("Epochs", TRAINING, self.training, training_notes),
            ResultTable("Steps", STEPS, self.steps, ["kernels by torch.profiler, in one step without the graph"]),
            ResultTable("Members trained together", MEMBERS, self.members),
            ResultTable("Scoring on the device", SCORING, self.scoring, ["ceiling: peak of the precision / 2 P"]),
            ResultTable(
                "Memory and upload", MEMORY, self.memory, ["upload: from mapped files, with working out who is where"]
            ),
        ]

    def add_training(self, row: dict[str, Any]) -> None:
        """Take a row of the first table, and what it says of the goals."""
        self.training.append(row)
        name = row["variant"]
        if row["way"] == "CUDA graph" and name in EPOCH_GOALS:
            self.goals.append(Goal(f"{name}: epoch on a GPU", EPOCH_GOALS[name], row["epoch"], "ms", at_least=False))

    def rate_of(self, name: str, way: str) -> float | None:
        """Rows a second that were measured; None: not yet."""
        return next((row["rate"] for row in self.training if (row["variant"], row["way"]) == (name, way)), None)
