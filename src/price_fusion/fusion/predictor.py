"""Prices from a checkpoint, with no configuration at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from price_fusion.errors import CheckpointError, DataError
from price_fusion.fusion.checkpoint import PRICE_CEILING, PRICE_FLOOR, Checkpoint, load_checkpoint
from price_fusion.fusion.engine.device import uses_bf16
from price_fusion.fusion.engine.features import Features, features_from_arrays, features_from_tables
from price_fusion.fusion.engine.scoring import gate_weights, score, to_prices
from price_fusion.fusion.models.build import build_model
from price_fusion.fusion.tables.table import EmbeddingTable


class Predictor:
    """A trained model. Each product's price depends on that product alone, in any batch.

    Example:
        >>> predictor = Predictor.load("data/06_models/moe/checkpoint.safetensors")  # doctest: +SKIP
        >>> predictor.widths  # doctest: +SKIP
        {'clip_image': 768, 'qwen_text': 1027}
        >>> predictor.predict({"clip_image": images, "qwen_text": texts})  # doctest: +SKIP
        array([12.81, 4.07])
    """

    def __init__(self, checkpoint: Checkpoint, precision: Literal["float32", "bf16", "auto"] = "float32") -> None:
        self.header = checkpoint.header
        self._bf16 = uses_bf16(precision, torch.device("cpu"))
        self._model = build_model(self.header.sources, self.header.model)
        try:
            self._model.load_state_dict(checkpoint.weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"checkpoint of {self.header.variant!r}: weights do not fit its header ({error})"
            ) from error
        self._model.eval()

    @classmethod
    def load(cls, path: str | Path, precision: Literal["float32", "bf16", "auto"] = "float32") -> Predictor:
        """Read a checkpoint.

        Args:
            path: the file.
            precision: of matrix products. In bf16 prices differ by up to 2.4 % (0.6 % at the median) from those in float32.

        Raises:
            CheckpointError: if it is missing, damaged, or of another version.
        """
        checkpoint = load_checkpoint(Path(path))
        try:
            return cls(checkpoint, precision)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error

    @property
    def widths(self) -> dict[str, int]:
        """Columns that ``predict`` wants for each source, structural ones included."""
        return {name: source.width for name, source in self.header.sources.items()}

    def predict(self, arrays: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
        """Prices of N products in USD, (N,), finite and positive.

        Args:
            arrays: (N, width) per source, as stored: not normalised, structural columns last. A source left out counts
                as missing for all of them.

        Raises:
            DataError: naming the source with a wrong name, shape or value.
        """
        self._check(arrays)
        return self._prices(features_from_arrays(arrays, self.header.sources, self.header.dtypes))

    def predict_samples(self, samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable]) -> NDArray[np.float64]:
        """Prices in USD of the products of a sample table, (N,), finite and positive."""
        return self._prices(features_from_tables(samples, tables, self.header.sources))

    def gate_weights(self, samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable]) -> NDArray[np.float32]:
        """Weight of each expert for the products of a sample table, (N, experts); (N, 0) of a model without a gate."""
        features = features_from_tables(samples, tables, self.header.sources)
        weights: NDArray[np.float32] = gate_weights(self._model, features, torch.arange(len(features))).numpy()
        return weights

    def _prices(self, features: Features) -> NDArray[np.float64]:
        log_prices = score(self._model, features, torch.arange(len(features)), bf16=self._bf16)
        prices = to_prices(log_prices, floor=PRICE_FLOOR, ceiling=PRICE_CEILING)
        return np.where(features.known().numpy(), prices, self.header.median_price)

    def _check(self, arrays: Mapping[str, NDArray[np.floating]]) -> None:
        unknown = [name for name in arrays if name not in self.header.sources]
        if unknown or not arrays:
            raise DataError(
                f"found source(s) {', '.join(unknown) or 'none'}; this model takes one or more of "
                f"{', '.join(f'{name} ({width})' for name, width in self.widths.items())}"
            )
        for name, array in arrays.items():
            if array.ndim != 2 or array.shape[1] != self.widths[name]:
                raise DataError(f"source {name!r}: shape {array.shape}, expected (N, {self.widths[name]})")
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise DataError(
                f"sources have different numbers of rows: {counts}. Row i of each must be the same product."
            )
        for name, array in arrays.items():
            wrong = np.flatnonzero(~(np.abs(array) <= np.finfo(np.float32).max).all(axis=1))
            if len(wrong):
                raise DataError(
                    f"source {name!r}: {len(wrong)} row(s) with values that are NaN, infinite or beyond float32, first "
                    f"row {wrong[0]}. Mend them, or predict those products without this source."
                )
