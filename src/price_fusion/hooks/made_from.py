"""What each output of a run is made from; with it ``--only-missing-outputs`` sees what has changed."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline

from price_fusion.runs.journal import Catalog
from price_fusion.runs.origins import count_stale_as_missing, outputs_of, remembered_digests
from price_fusion.runs.project_facts import current_project
from price_fusion.runs.stale_inputs import refuse_stale_inputs


class MadeFromHooks:
    """Tells the datasets of outputs what they are made from and, under ``--only-missing-outputs``, which are stale."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog) -> None:
        """Work it out; say what counts as missing and why. Refuse figures of another model than the one that is there."""
        project = current_project.get()
        if project is None:
            return
        outputs = outputs_of(pipeline, catalog, remembered_digests(project.data))
        for output in outputs.values():
            output.dataset.origins = output.origins
        only_missing = bool(run_params.get("only_missing_outputs"))
        if only_missing:
            count_stale_as_missing(pipeline, outputs, catalog)
        refuse_stale_inputs(pipeline, catalog, pipelines, only_missing=only_missing)
