"""What each output of a run is made from; with it ``--only-missing-outputs`` sees what has changed."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from price_fusion.runs.journal import Catalog
from price_fusion.runs.origins import is_kept, mark_stale, outputs_of, say_unrecorded, say_without_digest
from price_fusion.runs.project_facts import current_project
from price_fusion.storage.digests import CheckRecord
from price_fusion.storage.files import storage_errors

REMEMBERED = "03_primary"
"""Folder of the data folder that remembers the digests of raw files, in ``checked.json``: a note and no promise."""


class MadeFromHooks:
    """Tells the datasets of outputs what they are made from and, under ``--only-missing-outputs``, which are stale."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog) -> None:
        """Work it out; say what counts as missing and why."""
        project = current_project.get()
        if project is None:
            return
        remembered = project.data / REMEMBERED
        with storage_errors(remembered):
            remembered.mkdir(parents=True, exist_ok=True)  # or no path begins there
        outputs = outputs_of(pipeline, catalog, CheckRecord(remembered))
        for output in outputs.values():
            output.dataset.origins = output.origins
        if run_params.get("only_missing_outputs"):
            mark_stale(outputs, catalog)
            say_without_digest([name for name, output in outputs.items() if output.dataset.lacks_its_digest])
            say_unrecorded([name for name in pipeline.all_outputs() - outputs.keys() if is_kept(name, catalog)])
