"""Runs in MLflow, if ``tracking.mlflow`` says so. Nothing of MLflow is imported otherwise."""

from __future__ import annotations

import atexit
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from price_fusion.errors import MissingPackageError, TrackingError
from price_fusion.hooks.current_project import CurrentProject
from price_fusion.parameters import TrackingParameters

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # of 7, with which a run would wait for minutes
}
"""Of MLflow, unless the environment says otherwise."""
LONGEST_CAUSE = 300
"""Characters of what MLflow says of an error."""
LONGEST_VALUE = 6_000
"""Characters of a parameter that MLflow keeps."""
BATCH = 100
"""Parameters that MLflow takes at a time."""


class MlflowHooks:
    """Logs parameters, metrics per epoch and of evaluations, the leaderboard, reports and checkpoints.

    A store that cannot be reached at the start stops the run. One that is lost later ends the logging, not the run.

    Args:
        project: whose parameters say whether and where.
    """

    def __init__(self, project: CurrentProject) -> None:
        self._project = project
        self._is_active = False
        self._listens = False
        self._saved: list[str] = []

    @hook_impl
    def after_context_created(self) -> None:
        """See whether runs can be logged.

        Raises:
            MissingPackageError: if they are to be, and MLflow is not installed.
        """
        if self._options.mlflow and find_spec("mlflow") is None:
            raise MissingPackageError(
                "tracking.mlflow is true, but MLflow is not installed. Install it: "
                'pip install --constraint requirements.lock --editable ".[mlflow]"; or set tracking.mlflow to false.'
            )

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Open a run, with all parameters.

        Raises:
            TrackingError: if the store cannot be used.
        """
        project = self._project.facts
        if project is None or not self._options.mlflow:
            return
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        with store_errors(self._options):
            open_experiment(self._options, project.data)
            mlflow.start_run(run_name=" ".join(run_params.get("pipeline_names") or ["__default__"]))
            self._is_active = True
            fields = flat_fields(project.raw)
            names = sorted(fields)
            for start in range(0, len(names), BATCH):
                mlflow.log_params({name: fields[name] for name in names[start : start + BATCH]})
        if not self._listens:
            self._listens = True
            atexit.register(self._close, "KILLED")

    @hook_impl
    def after_node_run(self, outputs: dict[str, Any]) -> None:
        """Log what a node found. Metrics per epoch are logged once training is over, from its history."""
        self._try(partial(log_outputs, outputs))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Note checkpoints whose files are there."""
        if dataset_name.endswith(".checkpoint"):
            self._saved.append(dataset_name)

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, catalog: CatalogProtocol[Any, Any]) -> None:
        """Log checkpoints and close the run."""
        paths = {name: Path(str(getattr(catalog.get(name), "_filepath", ""))) for name in self._saved}
        self._try(partial(log_checkpoints, paths))
        if self._is_active:
            import mlflow

            logger.info("logged in MLflow: mlflow ui --backend-store-uri %s", mlflow.get_tracking_uri())
        self._close("FINISHED")

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Close the run as failed."""
        self._close("FAILED")

    @property
    def _options(self) -> TrackingParameters:
        return self._project.facts.parameters.tracking if self._project.facts else TrackingParameters()

    def _try(self, log: Callable[[], None]) -> None:
        """Log, if the run is logged; the first thing that cannot be is the last that is tried."""
        if not self._is_active:
            return
        try:
            with store_errors(self._options):
                log()
        except TrackingError as error:
            logger.warning("the run goes on, but nothing more of it is logged in MLflow: %s", error)
            self._is_active = False

    def _close(self, status: str) -> None:
        """Close the run, if it is open."""
        if self._is_active:
            import mlflow

            self._try(partial(mlflow.end_run, status))
        self._is_active, self._saved = False, []


@contextmanager
def store_errors(options: TrackingParameters) -> Iterator[None]:
    """Where a store that fails is named.

    Raises:
        TrackingError: with what failed.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        where = options.uri or "the SQLite file in <data>/mlflow"
        cause = " ".join(str(error).split())[:LONGEST_CAUSE]
        raise TrackingError(
            f"tracking.uri: {where} cannot be written: {cause}. Fix it, name another store, or set tracking.mlflow to false."
        ) from error


def open_experiment(options: TrackingParameters, data: Path) -> None:
    """Point MLflow to its store, and make the experiment if there is none of that name.

    Args:
        options: where.
        data: folder of the store where none is named.
    """
    import mlflow

    folder = (data / "mlflow").resolve()
    uri = options.uri
    if uri is None:
        folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(options.experiment) is None:
        artifacts = (folder / "artifacts").as_uri() if options.uri is None else None
        mlflow.create_experiment(options.experiment, artifact_location=artifacts)
    mlflow.set_experiment(options.experiment)


def flat_fields(parameters: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """Parameters by their path; YAML anchors are left out, long values are cut and end in an ellipsis."""
    found: dict[str, str] = {}
    for name, value in parameters.items():
        if str(name).startswith("_"):
            continue
        if isinstance(value, Mapping):
            found |= flat_fields(value, f"{path}{name}.")
        else:
            text = str(value)
            found[f"{path}{name}"] = text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
    return found


def log_outputs(outputs: Mapping[str, Any]) -> None:
    """Log those outputs of a node that people compare: histories, metrics, pages, the leaderboard."""
    for name, data in outputs.items():
        model, _, kind = name.rpartition(".")
        if kind == "history":
            log_history(model, data)
        elif kind == "metrics":
            _log_numbers(model, data)
        elif kind == "report" or name == "comparison_report":
            _log_page(f"{model or 'comparison'}_report.html", data)
        elif name == "leaderboard":
            _log_leaderboard(data)


def log_checkpoints(paths: Mapping[str, Path]) -> None:
    """Log checkpoints, by their names in the catalog, as models."""
    with warnings.catch_warnings():
        # Of type hints that it would like, in its own code as well, and of an example beside the signature.
        warnings.simplefilter("ignore", UserWarning)
        from price_fusion.fusion.export.mlflow_model import log_checkpoint

        for name, path in paths.items():
            log_checkpoint(name.removesuffix(".checkpoint"), path)


def log_history(model: str, history: list[dict[str, Any]]) -> None:
    """Each epoch's numbers as metrics ``<model>/<name>``, the epoch as their step."""
    import mlflow

    for record in history:
        numbers = {f"{model}/{name}": value for name, value in record.items() if name != "epoch" and value is not None}
        mlflow.log_metrics(numbers, step=record["epoch"])


def _log_numbers(model: str, metrics: Mapping[str, Any]) -> None:
    import mlflow

    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    mlflow.log_metrics({f"{model}/{metrics['split']}_{name}": value for name, value in numbers.items()})


def _log_page(name: str, page: str) -> None:
    import mlflow

    mlflow.log_text(page, name)


def _log_leaderboard(leaderboard: pd.DataFrame) -> None:
    import mlflow

    mlflow.log_table(leaderboard, "leaderboard.json")
    best = leaderboard.iloc[0]
    mlflow.log_metric("best_smape", float(best["smape"]))
    mlflow.set_tag("best_model", str(best["model"]))
