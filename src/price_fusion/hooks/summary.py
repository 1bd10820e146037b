"""What a run ends with: its nodes, what they found and wrote, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich
from kedro.framework.hooks import hook_impl
from kedro.framework.project import settings
from kedro.pipeline import Pipeline

from price_fusion.console.tuned import how_to_take
from price_fusion.own_pipelines import own_outputs
from price_fusion.runs.journal import Catalog, journal_of, path_of
from price_fusion.runs.summary import RunSummary

SHOWN = (
    "_alignment_report",
    "split_report",
    ".gate_report",
    ".members",
    "_importance",
    "leak_report",
    "informed_sources",
    ".leak_effect",
    "leaderboard",
    "leaderboard_json",
    ".interval_summary",
    ".metrics",
    ".out_of_fold_metrics",
)
"""How the names of datasets end that have a table."""

BEST_PARAMETERS = ".best_parameters"
"""Likewise, of what tuning found."""


class SummaryHooks:
    """Prints what a run found, and the paths of what it wrote."""

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog) -> None:
        """Print the summary, of what the nodes of this run saved."""
        journal = journal_of(catalog)
        if journal is None:
            return
        nodes, own = journal.nodes(), own_outputs(pipeline)
        summary = RunSummary(nodes, run_params.get("env"))
        for name in dict.fromkeys(name for node in nodes for name in node.outputs):
            if (path := path_of(catalog, name)) is not None:
                summary.add_path(name, path)
        for name, data in journal.outputs(catalog, SHOWN, without=own).items():
            summary.add(name, data)
        summary.print()
        conf = Path(run_params["project_path"]) / settings.CONF_SOURCE
        outputs = (name for node in nodes for name in node.outputs if name not in own)
        for name in (name for name in outputs if name.endswith(BEST_PARAMETERS)):
            if (tuned := path_of(catalog, name)) is not None:
                advice = how_to_take(tuned, name.removesuffix(BEST_PARAMETERS), conf, run_params["env"])
                rich.get_console().print(advice, soft_wrap=True, markup=False, highlight=False)
