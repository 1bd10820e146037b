"""Lines of a leaderboard that were made from an earlier run of a variant than the one whose checkpoint is there now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from price_fusion.errors import CheckpointError
from price_fusion.lazy import pd
from price_fusion.models.checkpoint import saved_digest

STALE = "stale"
"""Column with what is wrong with a line; empty where nothing is."""
NOT_STALE = ""
AGAIN = "kedro run --pipelines compare"
_DIGITS = 12


def short_digest(digest: str) -> str:
    """As a leaderboard shows a digest."""
    return digest[:_DIGITS]


def marked(leaderboard: pd.DataFrame, checkpoint_of: Callable[[str], Path | None]) -> pd.DataFrame:
    """The leaderboard with its column ``stale`` as it is now.

    Args:
        leaderboard: as ``compare`` gives it, or read from a file; one of an earlier release says nothing of checkpoints and
            is returned as it is.
        checkpoint_of: gives the file of a variant's checkpoint; None where the catalog keeps it otherwise.
    """
    if "checkpoint" not in leaderboard:
        return leaderboard
    lines = zip(leaderboard["model"], leaderboard["checkpoint"], strict=True)
    stale = [_problem(str(model), digest, checkpoint_of) for model, digest in lines]
    return leaderboard.assign(**{STALE: pd.Series(stale, index=leaderboard.index, dtype=object)})


def notice(leaderboard: pd.DataFrame) -> str | None:
    """What readers of a leaderboard must know of stale lines, in a sentence; None if there are none."""
    if STALE not in leaderboard:
        return None
    models = leaderboard.loc[leaderboard[STALE].notna() & (leaderboard[STALE] != NOT_STALE), "model"]
    if models.empty:
        return None
    return (
        f"Stale: figures of {', '.join(models)} are from an earlier run than the current one, and may differ from "
        f"{'its report' if len(models) == 1 else 'their reports'}. Run: {AGAIN}"
    )


def _problem(model: str, digest: object, checkpoint_of: Callable[[str], Path | None]) -> str:
    path = checkpoint_of(model) if isinstance(digest, str) else None
    if path is None:
        return NOT_STALE
    try:
        current = short_digest(saved_digest(path))
    except CheckpointError:
        return f"stale: the checkpoint of {model} is no longer there, or damaged; run: {AGAIN}"
    return NOT_STALE if current == digest else f"stale: made from an earlier run of {model}; run: {AGAIN}"
