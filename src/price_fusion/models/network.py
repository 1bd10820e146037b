"""A trained network, ready to give log prices."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from price_fusion.errors import CheckpointError
from price_fusion.models.build import PriceModel
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.device import one_thread, uses_bf16
from price_fusion.models.features import Features
from price_fusion.models.scoring import gate_weights, score

FEW_PRODUCTS = 64
"""Up to so many, one thread scores: several would wait for each other longer than they compute."""


class Network:
    """The model of a checkpoint, with what its header says of prices and sources as attributes.

    Args:
        checkpoint: what to load.
        precision: of matrix products.

    Raises:
        CheckpointError: if the weights do not fit the header.
    """

    def __init__(self, checkpoint: Checkpoint, precision: Literal["float32", "bf16", "auto"] = "float32") -> None:
        self.header = header = checkpoint.header
        self.calibration = checkpoint.calibration
        self.name, self.data = checkpoint.name, checkpoint.data
        self.sources, self.dtypes = header.sources, header.dtypes
        self.median_price, self.currency, self.price_scale = header.median_price, header.currency, header.price_scale
        self._bf16 = uses_bf16(precision, torch.device("cpu"))
        self._model = PriceModel(header.sources, header.model)
        try:
            self._model.load_state_dict(checkpoint.weights)
        except RuntimeError as error:
            raise CheckpointError(f"checkpoint of {self.name!r}: weights do not fit its header ({error})") from error
        self._model.eval()

    def log_prices(self, features: Features, *, whole_blocks: bool = False) -> NDArray[np.float64]:
        """Log prices of N products, (N,), within ``price_scale``; a warning counts those that were not.

        Args:
            features: of its sources; others are not used.
            whole_blocks: as of ``score``, however few the products are; more than ``FEW_PRODUCTS`` always are.
        """
        own = Features({name: features.sources[name] for name in self.sources})
        few = len(own) <= FEW_PRODUCTS
        with one_thread() if few else nullcontext():
            index = torch.arange(len(own))
            scored = score(self._model, own, index, bf16=self._bf16, whole_blocks=whole_blocks or not few)
        logs: NDArray[np.float64] = scored.double().numpy()
        return self.price_scale.bounded(logs, self.name)

    def gate_weights(self, features: Features) -> NDArray[np.float32]:
        """Weight of each expert for N products, (N, experts); (N, 0) of a model without a gate."""
        weights: NDArray[np.float32] = gate_weights(self._model, features, torch.arange(len(features))).numpy()
        return weights
