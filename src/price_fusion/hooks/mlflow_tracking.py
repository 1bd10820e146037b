"""Runs in MLflow, if ``tracking.mlflow`` says so. Nothing of MLflow is imported otherwise."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from kedro.framework.hooks import hook_impl

from price_fusion.errors import MissingPackageError
from price_fusion.hooks.active_runs import ActiveRuns
from price_fusion.lazy import install_command
from price_fusion.runs.tracking import close_run, open_run


class MlflowHooks:
    """Logs parameters, metrics per epoch and of evaluations, the leaderboard, reports and checkpoints.

    A store that cannot be reached at the start stops the run. One that is lost later ends the logging, not the run.

    Args:
        runs: of this process, whose parameters say whether and where.
    """

    def __init__(self, runs: ActiveRuns) -> None:
        self._runs = runs

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Open a run, with all parameters, that is closed when the run ends.

        Raises:
            MissingPackageError: if MLflow is not installed.
            TrackingError: if the store cannot be used.
        """
        run = self._runs.of(run_params)
        if run is None or not run.facts.parameters.tracking.mlflow:
            return
        if find_spec("mlflow") is None:
            raise MissingPackageError(
                "tracking.mlflow is true, but MLflow is not installed. Install it: "
                f"{install_command('mlflow')}; or set tracking.mlflow to false."
            )
        opened = open_run(run.facts, " ".join(run_params.get("pipeline_names") or ["__default__"]))
        options, journal = run.facts.parameters.tracking, run.journal
        run.closers.append(lambda status, _: close_run(opened, status, options, run.pipeline, run.catalog, journal))
