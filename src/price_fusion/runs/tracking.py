"""Runs in MLflow. Nothing of it is imported before a run is opened."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline

from price_fusion.errors import TrackingError
from price_fusion.own_pipelines import own_outputs
from price_fusion.parameters import TrackingParameters
from price_fusion.parameters.base import fields_of
from price_fusion.runs.journal import Catalog, Journal, path_of
from price_fusion.runs.project_facts import ProjectFacts

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


LOGGED = (".history", ".report", "comparison_report", "leaderboard")
"""How the names of datasets end that are logged."""
METRICS = ".metrics"
"""Likewise, of a user's own pipelines as well."""
MODELS = {".checkpoint": "", ".final_checkpoint": "_final"}
"""How the names of datasets end that are logged as models, and what these models' names get instead."""
STATUSES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
"""MLflow's, by our own."""


def open_run(project: ProjectFacts, name: str) -> str:
    """Open a run in MLflow, with all parameters.

    Returns:
        its id there.

    Raises:
        TrackingError: if the store cannot be used.
    """
    for setting, value in SETTINGS.items():
        os.environ.setdefault(setting, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    options, fields = project.parameters.tracking, flat_fields(project.raw)
    with store_errors(options):
        experiment = open_experiment(options, project.data)
        run: str = mlflow.MlflowClient().create_run(experiment, run_name=name).info.run_id
        names = sorted(fields)
        for start in range(0, len(names), BATCH):
            mlflow.log_params({name: fields[name] for name in names[start : start + BATCH]}, run_id=run)
    return run


def close_run(
    opened: str, status: str, options: TrackingParameters, pipeline: Pipeline, catalog: Catalog, journal: Journal
) -> None:
    """Log what the nodes of a run saved, and close it.

    Args:
        opened: its id, as ``open_run`` gave it.
        status: how it ended, as our records call it.
        options: where.
        pipeline: that ran.
        catalog: with what its nodes saved.
        journal: of its nodes.
    """
    import mlflow

    try:
        with store_errors(options), mlflow.start_run(run_id=opened):
            own = own_outputs(pipeline)
            log_outputs(journal.outputs(catalog, LOGGED, without=own))
            for name, metrics in journal.metrics(catalog, [METRICS]).items():
                _log_numbers(name.removesuffix(METRICS), metrics)
            outputs = {name for node in journal.nodes() for name in node.outputs} - own
            saved = {name: path_of(catalog, name) for name in outputs if name.endswith(tuple(MODELS))}
            log_checkpoints({name: path for name, path in saved.items() if path is not None})
        mlflow.MlflowClient().set_terminated(opened, STATUSES[status])
    except TrackingError as error:
        logger.warning("the run is over, but not all of it is logged in MLflow: %s", error)
    else:
        logger.info("logged in MLflow: mlflow ui --backend-store-uri %s", mlflow.get_tracking_uri())


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


def open_experiment(options: TrackingParameters, data: Path) -> str:
    """Point MLflow to its store, and make the experiment if there is none of that name.

    Args:
        options: where.
        data: folder of the store where none is named.

    Returns:
        its id.
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
    return str(mlflow.set_experiment(options.experiment).experiment_id)


def flat_fields(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters by their path; YAML anchors are left out, long values are cut and end in an ellipsis."""
    texts = {path: str(value) for path, value in fields_of(parameters).items() if "._" not in f".{path}"}
    return {
        path: text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…" for path, text in texts.items()
    }


def log_outputs(outputs: Mapping[str, Any]) -> None:
    """Log those outputs of nodes that people compare, beside metrics: histories, pages, the leaderboard."""
    import mlflow

    for name, data in outputs.items():
        model, _, kind = name.rpartition(".")
        if kind == "history":
            log_history(model, data)
        elif kind == "report" or name == "comparison_report":
            mlflow.log_text(data, f"{model or 'comparison'}_report.html")
        elif name == "leaderboard":
            mlflow.log_table(data, "leaderboard.json")
            mlflow.log_metric("best_smape", float(data.iloc[0]["smape"]))
            mlflow.set_tag("best_model", str(data.iloc[0]["model"]))


def log_checkpoints(paths: Mapping[str, Path]) -> None:
    """Log checkpoints and ensembles, by their names in the catalog, as models."""
    with warnings.catch_warnings():
        # Of type hints that it would like, in its own code as well, and of an example beside the signature.
        warnings.simplefilter("ignore", UserWarning)
        from price_fusion.prediction.export.mlflow_model import log_checkpoint

        for name, path in paths.items():
            model, _, kind = name.rpartition(".")
            log_checkpoint(f"{model}{MODELS[f'.{kind}']}", path)


def log_history(model: str, history: list[dict[str, Any]]) -> None:
    """Each epoch's numbers as metrics ``<model>/<name>``, the epoch as their step."""
    import mlflow

    for record in history:
        numbers = {f"{model}/{name}": value for name, value in record.items() if name != "epoch" and value is not None}
        mlflow.log_metrics(numbers, step=record["epoch"])


def _log_numbers(model: str, metrics: Mapping[str, Any]) -> None:
    import mlflow

    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    split = f"{metrics['split']}_" if "split" in metrics else ""  # a user's own have none
    mlflow.log_metrics({f"{model}/{split}{name}": value for name, value in numbers.items()})
