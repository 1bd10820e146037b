"""Draws of fewer labelled rows from an outer fold, and intervals over such draws."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

from outer_folds import OuterFold


def drawn(outer: OuterFold, rows: int, draw: int) -> OuterFold:
    """The outer fold with so many of its other rows alone; the rest takes no part."""
    chosen = np.random.default_rng(draw).choice(outer.others, rows, replace=False)
    there = np.zeros(len(outer.split_table), bool)
    there[chosen] = True
    table = outer.split_table.assign(
        split=np.where(there, "train", "holdout"), fold=np.where(there, outer.split_table["fold"], -1)
    )
    return replace(outer, split_table=table, fit=outer.fit[there[outer.fit]], stop=outer.stop[there[outer.stop]])


def interval_of_mean(differences: Sequence[float]) -> tuple[float, float, float]:
    """Mean of paired differences with its 95 % interval (Student's t over draws)."""
    mean = statistics.mean(differences)
    if len(differences) < 2:
        return mean, math.nan, math.nan
    reach = (
        float(student.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / math.sqrt(len(differences))
    )
    return mean, mean - reach, mean + reach
