"""The model that is validated and kept, and what a checkpoint of it says."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np

from price_fusion.metrics.price_metrics import price_metrics, smape_per_product
from price_fusion.models.checkpoint import Checkpoint, TrainingRecord
from price_fusion.models.counts import parameter_counts
from price_fusion.models.scoring import score, to_prices
from price_fusion.parameters import VariantParameters
from price_fusion.training.loop import TrainingLoop
from price_fusion.training.step.schedules import plateau_epochs
from price_fusion.training.training_run import check_judged, checkpoint_header

logger = logging.getLogger(__name__)


class Judged:
    """The average of the weights in training, where there is one, else these; and the checkpoint kept so far.

    Args:
        parameters: of the variant, with all numbers known.
        loop: that trains it.
        seed: of the training.
    """

    def __init__(self, parameters: VariantParameters, loop: TrainingLoop, seed: int) -> None:
        self.parameters, self.loop, self.seed, data = parameters, loop, seed, loop.data
        self.model = loop.weights.averaged_model()
        self.kept: Checkpoint | None = None
        self.median_price = loop.ranks.from_first(lambda: float(data.prices[data.train].median()) * data.unit)
        self.price_scale = loop.ranks.from_first(lambda: data.price_scale(data.train))

    def metrics(self, epoch: int) -> dict[str, float]:
        """Metrics on the validation rows, which the first rank has; empty where there are none.

        Raises:
            TrainingError: if a weight or a price is NaN or infinite.
        """
        weights = self.loop.weights
        judged = weights.values if weights.average is None else weights.average
        check_judged(self.loop.name, self.loop.options, judged, epoch)
        return self.loop.ranks.from_first(lambda: self._metrics(epoch))

    def _metrics(self, epoch: int) -> dict[str, float]:
        data = self.loop.data
        if not len(data.validation):
            return {}
        log_prices = score(self.model, data.features, data.validation, bf16=self.loop.bf16)
        check_judged(self.loop.name, self.loop.options, log_prices, epoch)
        predicted = to_prices(log_prices, self.price_scale)
        return price_metrics(predicted, data.prices[data.validation].cpu().numpy() * data.unit)

    def checkpoint(self, record: dict[str, Any]) -> Checkpoint:
        """The model as it is after the epoch of this record; its weights are not copied."""
        loop, progress = self.loop, self.loop.progress
        smapes = [one.get("smape", math.inf) for one in progress.history]
        header = checkpoint_header(
            loop.name,
            self.parameters,
            loop.data,
            price_scale=self.price_scale,
            median_price=self.median_price,
            epoch=record["epoch"],
            training=TrainingRecord(
                rows=loop.feed.rows,
                epoch_rows=loop.feed.products,
                steps=progress.step,
                seed=self.seed,
                plateau_epochs=plateau_epochs(loop.options, smapes),
            ),
            validation={key: record[key] for key in ("smape", "mae", "rmse", "r2") if key in record},
            counts=parameter_counts(self.model),
        )
        return Checkpoint(header, self.model.state_dict())

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep a copy of this checkpoint instead of the one before."""
        weights = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
        self.kept = Checkpoint(checkpoint.header, weights)

    def warn_if_nothing_was_learnt(self) -> None:
        """Say so if the best epoch is no better than one price for all."""
        data, name, best = self.loop.data, self.loop.name, self.loop.progress.best_smape
        if not len(data.validation):
            return
        true = data.prices[data.validation].cpu().numpy() * data.unit
        constant = float(smape_per_product(np.full_like(true, self.median_price), true).mean())
        if best >= constant:
            logger.warning(
                "%s: nothing was learnt: validation SMAPE %.2f %% at best, where the median price for all scores %.2f %%. "
                "Change %s.train.learning_rate (now %g), or check that the sources belong to these products.",
                name,
                best,
                constant,
                name,
                self.loop.options.learning_rate,
            )
