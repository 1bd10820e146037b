"""A checkpoint as an MLflow model: rows of a frame in, prices with intervals out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from price_fusion.fusion.predictor import Predictor

CHECKPOINT = "checkpoint"
PRICES = ("price", "price_low", "price_high")


class FusedPrices(PythonModel):
    """Prices in USD from a frame with a column of embeddings per source, and columns of the product table.

    A source whose column is left out counts as missing for all products. Intervals are given if the model is calibrated.
    """

    def load_context(self, context: Any) -> None:
        """Read the checkpoint."""
        self.predictor = Predictor.load(context.artifacts[CHECKPOINT])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Prices of N products.

        Args:
            context: of MLflow.
            model_input: N rows.
            params: none are known.
        """
        embedded = [name for name in self.predictor.widths if name in model_input]
        arrays = {name: np.stack(model_input[name].tolist()).astype(np.float32) for name in embedded}
        needed = {column for columns in self.predictor.columns.values() for column in columns}
        products = model_input.drop(columns=embedded) if needed <= set(model_input) else None
        if self.predictor.model.calibration is None:
            return pd.DataFrame({"price": self.predictor.predict(arrays, products)})
        return self.predictor.predict_intervals(arrays, products)


def signature_of(predictor: Predictor) -> ModelSignature:
    """What the model takes and gives."""
    embedded = [ColSpec(Array(DataType.float), name, required=False) for name in predictor.widths]
    columns = sorted({column for columns in predictor.columns.values() for column in columns})
    described = [ColSpec(DataType.string, name, required=False) for name in columns]
    given = PRICES if predictor.model.calibration is not None else PRICES[:1]
    return ModelSignature(Schema([*embedded, *described]), Schema([ColSpec(DataType.double, name) for name in given]))


def log_checkpoint(name: str, path: Path) -> None:
    """Log the checkpoint at a path as a model of the active run.

    Its environment needs this package, which no index has: install it there from its repository.
    """
    from price_fusion import __version__

    mlflow.pyfunc.log_model(
        name=name,
        python_model=FusedPrices(),
        artifacts={CHECKPOINT: str(path)},
        signature=signature_of(Predictor.load(path)),
        pip_requirements=[f"torch=={_plain_version()}", f"price-fusion=={__version__}"],
    )


def _plain_version() -> str:
    from importlib.metadata import version

    return version("torch").partition("+")[0]
