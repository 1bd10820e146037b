"""A leaderboard that is there says at the end of each run which of its lines have become stale."""

from __future__ import annotations

from kedro.framework.hooks import hook_impl

from price_fusion.runs.journal import Catalog
from price_fusion.runs.stale_marks import mark_leaderboard


class StaleLeaderboardHooks:
    """Marks what is stale. A killed run leaves it to the next one."""

    @hook_impl(tryfirst=True)  # while the run still holds the data folder
    def after_pipeline_run(self, catalog: Catalog) -> None:
        """Mark what has become stale by this run."""
        mark_leaderboard(catalog)

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, catalog: Catalog) -> None:
        """Likewise: nodes before the error may have trained a model."""
        mark_leaderboard(catalog)
