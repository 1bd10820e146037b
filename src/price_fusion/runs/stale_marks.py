"""Marks of stale lines in the leaderboard that is there: its file, document and page."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from price_fusion.console.commands import in_environment
from price_fusion.datasets.recorded import FileRecord
from price_fusion.errors import PriceFusionError
from price_fusion.report.notice import with_notice
from price_fusion.runs.journal import Catalog
from price_fusion.selection.stale_lines import NOT_STALE, STALE, marked, notice

if TYPE_CHECKING:
    from price_fusion.datasets.whole_file import WholeFileDataset

logger = logging.getLogger(__name__)


def mark_leaderboard(catalog: Catalog) -> None:
    """Write into leaderboard, document and page which lines are stale, where they do not say so yet, and log it."""
    board = _whole_file(catalog, "leaderboard")
    if board is None:
        return
    try:
        saved = board.load()
        current = marked(saved, partial(_checkpoint_of, catalog))
        if STALE not in current:
            return
        if text := notice(current):
            logger.warning("leaderboard: %s", text)
        if saved[STALE].where(saved[STALE].notna(), NOT_STALE).tolist() != current[STALE].tolist():
            stale = dict(zip(current["model"], current[STALE], strict=True))
            _amend(catalog, "comparison_report", lambda page: with_notice(page, text and in_environment(text)))
            _amend(catalog, "leaderboard_json", lambda document: _marked_document(document, stale))
            board.amend(current)  # last: until then the next run marks them again
    except PriceFusionError as error:
        logger.warning("the leaderboard could not be marked as stale where it is: %s", error)


def _checkpoint_of(catalog: Catalog, model: str) -> Path | None:
    dataset = catalog.get(f"{model}.checkpoint")
    return dataset.recorded_file if isinstance(dataset, FileRecord) else None


def _amend(catalog: Catalog, name: str, change: Any) -> None:
    dataset = _whole_file(catalog, name)
    if dataset is not None:
        dataset.amend(change(dataset.load()))


def _whole_file(catalog: Catalog, name: str) -> WholeFileDataset | None:
    """The dataset of a file that is there, vouched for by its digest, whether or not it counts as missing."""
    from price_fusion.datasets.whole_file import WholeFileDataset

    dataset = catalog.get(name) if name in catalog else None
    if not isinstance(dataset, WholeFileDataset) or not dataset.recorded_file.is_file() or dataset.lacks_its_digest:
        return None
    return dataset


def _marked_document(document: dict[str, Any], stale: dict[str, str]) -> dict[str, Any]:
    models = [one | {STALE: stale.get(one["model"], NOT_STALE)} for one in document["models"]]
    return document | {"models": models}
