"""A checkpoint as an MLflow model: rows of a frame in, prices with intervals out.

MLflow keeps this file beside the checkpoint and runs it to load the model, so that nothing is pickled.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Array

from price_fusion.metrics.intervals import interval_columns
from price_fusion.models.unit_prices import UNIT, unit_price_columns
from price_fusion.parameters import ColumnSourceParameters
from price_fusion.prediction.predictor import Predictor
from price_fusion.version import __version__

CHECKPOINT = "checkpoint"
LEVELS = (0.8, 0.9)
"""How often intervals hold the true price."""


class FusedPrices(PythonModel):
    """Prices in currency units from a frame with a column of embeddings per source, and columns of the product table.

    A source whose columns are left out counts as missing for all products. Intervals are given if the model is calibrated.
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

        Raises:
            DataError: as ``Predictor.predict``.
        """
        embedded = [name for name in self.predictor.widths if name in model_input]
        arrays = {name: np.stack(model_input[name].tolist()).astype(np.float32) for name in embedded}
        read = {column for columns in self.predictor.columns.values() for column in columns}
        products = model_input.drop(columns=embedded) if read & set(model_input) else None
        if self.predictor.model.calibration is None:
            return pd.DataFrame({"price": self.predictor.predict(arrays, products)})
        return self.predictor.predict_intervals(arrays, products, LEVELS)


def signature_of(predictor: Predictor) -> ModelSignature:
    """What the model takes and gives."""
    taken: list[ColSpec | TensorSpec] = [
        ColSpec(Array(DataType.float), name, required=False) for name in predictor.widths
    ]
    numeric = {
        column
        for source in predictor.model.sources.values()
        if isinstance(source, ColumnSourceParameters)
        for column in source.numeric
    }
    for column in sorted({column for columns in predictor.columns.values() for column in columns}):
        kind = DataType.double if column in numeric else DataType.string
        taken.append(ColSpec(kind, column, required=False))
    given = ["price"]
    if predictor.model.calibration is not None:
        given += [column for pair in interval_columns(LEVELS) for column in pair]
        given += unit_price_columns(predictor.model.sources)
    types = {UNIT: DataType.string}
    return ModelSignature(Schema(taken), Schema([ColSpec(types.get(name, DataType.double), name) for name in given]))


def log_checkpoint(name: str, path: Path) -> None:
    """Log a checkpoint or an ensemble as a model of the active run.

    Its environment needs this package, which no index has: install it there from its repository.

    Args:
        name: of the model.
        path: of its file or folder.
    """
    mlflow.pyfunc.log_model(
        name=name,
        python_model=str(Path(__file__)),
        artifacts={CHECKPOINT: str(path)},
        signature=signature_of(Predictor.load(path)),
        pip_requirements=[f"torch=={version('torch').partition('+')[0]}", f"price-fusion=={__version__}"],
    )


set_model(FusedPrices())
