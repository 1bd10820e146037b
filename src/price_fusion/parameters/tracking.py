"""Where runs are recorded, beside ``run.json``."""

from __future__ import annotations

from price_fusion.parameters.base import Parameters


class TrackingParameters(Parameters):
    """Experiment tracking."""

    mlflow: bool = False
    """Whether runs are logged with MLflow (extra ``mlflow``)."""
    uri: str | None = None
    """Of the MLflow server or store; None: an SQLite file, ``<data>/mlflow/mlflow.db``."""
    experiment: str = "price-fusion"
    """Name of the experiment."""
