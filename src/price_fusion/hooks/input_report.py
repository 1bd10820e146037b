"""One report of all that is wrong with the inputs of a run that cannot use one of them.

A run stops at the first input that cannot be used. Then the others are tried here as well, so that a user fixes them all
at once. A run whose inputs can be used loses nothing by it.
"""

from __future__ import annotations

import logging
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DatasetError
from kedro.pipeline import Pipeline

from price_fusion.console.errors import own_error
from price_fusion.errors import DataError, PriceFusionError
from price_fusion.runs.input_trial import InputTrial, Problem, error_of, not_among, raw_inputs
from price_fusion.runs.journal import Catalog
from price_fusion.runs.missing_inputs import how_to_make

logger = logging.getLogger(__name__)

REPORT = "validation_report"


class InputReportHooks:
    """Says all that is wrong with the inputs when one of them stops a run, and keeps it in ``validation_report``."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog) -> None:
        """Look for the files, which nodes may ask for hours later only.

        With ``--only-missing-outputs``, nodes whose files may have been removed since are left out: nothing is looked for.

        Raises:
            DataError: if one is missing, listing everything that is wrong with the inputs.
        """
        if run_params.get("only_missing_outputs"):
            return
        inputs = raw_inputs(pipeline, catalog)
        if all(dataset.exists() for dataset in inputs.values()):
            return
        if problems := InputTrial(pipeline, catalog, inputs).problems():
            _save(catalog, problems)
            raise error_of(problems)

    @hook_impl(trylast=True)
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog
    ) -> None:
        """Try the other inputs as well, and say what makes those that are missing.

        Raises:
            DataError: listing everything, if it is more than the error that stopped the run.
        """
        own = own_error(error)
        if not isinstance(own, DataError):
            return
        if command := how_to_make(pipeline, catalog, pipelines, run_params.get("env")):
            error.add_note(command)
        inputs = raw_inputs(pipeline, catalog)
        if not inputs:
            return
        found = InputTrial(pipeline, catalog, inputs).problems()
        problems = [*not_among(own, found), *found]
        _save(catalog, problems)
        if len(problems) > 1 and any(problem.text not in own.problems for problem in found):
            raise error_of(problems) from error

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> None:
        """Clear the report of an earlier run, now that its inputs can be used."""
        if raw_inputs(pipeline, catalog) and REPORT in catalog and catalog.exists(REPORT):
            _save(catalog, [])


def _save(catalog: Catalog, problems: list[Problem]) -> None:
    if REPORT not in catalog:
        return
    contents = [{"dataset": one.dataset, "file": one.file, "problem": one.text} for one in problems]
    try:
        catalog.save(REPORT, {"problems": contents})
    except (PriceFusionError, DatasetError) as error:
        # The error that stopped the run matters more than the file that repeats it.
        logger.warning("%s could not be saved: %s", REPORT, error)
