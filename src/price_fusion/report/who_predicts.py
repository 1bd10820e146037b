"""Which model predicts new products: pages and cards show the figures of another one, where there is a final fit."""

from __future__ import annotations

from price_fusion.models.checkpoint import Checkpoint
from price_fusion.prediction.ensemble import Ensemble


def who_predicts(evaluated: Checkpoint | Ensemble, labelled: int, *, final_fit: bool) -> str:
    """Which model predicts new products, what it is fitted on, and whose error is published.

    Args:
        evaluated: the model that figures are of.
        labelled: number of labelled rows.
        final_fit: whether its training is repeated on all of them.
    """
    fitted = "" if evaluated.rows is None else f", fitted on {evaluated.rows:,} of {labelled:,} labelled rows"
    if not final_fit:
        return f"New products are predicted by this very model{fitted}."
    return (
        f"New products are predicted by a final fit: the same training, repeated on all {labelled:,} labelled rows. The error "
        f"published here is that of the evaluated model{fitted}; no row is left that could tell the error of the final fit."
    )


def sample_in_words(rows: int, of: int) -> str:
    """Says that figures are of a sample of the labelled rows; empty where they are of all.

    Args:
        rows: that are in memory.
        of: all labelled rows.
    """
    if rows == of:
        return ""
    return (
        f"Figures are of a random sample: {rows:,} of {of:,} labelled products are in memory (compute.rows_in_memory). So are "
        "baselines, ensembles and whatever repeats a training."
    )
