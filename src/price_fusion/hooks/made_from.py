"""What each output of a run is made from; with it ``--only-missing-outputs`` sees what has changed."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from price_fusion.datasets.raw_facts import RawDigests
from price_fusion.runs.journal import Catalog
from price_fusion.runs.origins import is_kept, mark_stale, outputs_of, say_unrecorded, say_without_digest
from price_fusion.runs.project_facts import current_project

REMEMBERED = "03_primary"
"""Folder of the data folder that remembers the digests of raw files."""


class MadeFromHooks:
    """Tells the datasets of outputs what they are made from and, under ``--only-missing-outputs``, which are stale."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog) -> None:
        """Work it out; say what counts as missing and why."""
        project = current_project.get()
        if project is None:
            return
        outputs = outputs_of(pipeline, catalog, RawDigests(project.data / REMEMBERED))
        for output in outputs.values():
            output.dataset.origins = output.origins
        if run_params.get("only_missing_outputs"):
            mark_stale(outputs, catalog)
            say_without_digest([name for name, output in outputs.items() if output.dataset.lacks_its_digest])
            say_unrecorded([name for name in pipeline.all_outputs() - outputs.keys() if is_kept(name, catalog)])
