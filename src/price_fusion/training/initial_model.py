"""The model that a training starts with."""

from __future__ import annotations

import torch

from price_fusion.models.build import PriceModel
from price_fusion.parameters import VariantParameters
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.ranks import Ranks


def prepare_model(parameters: VariantParameters, data: TrainingData, model: PriceModel | None = None) -> PriceModel:
    """A fresh model that knows what train rows alone tell: structural scales, and the median log price to start at.

    Args:
        parameters: its composition.
        data: whose train rows.
        model: of that composition; None: a new one.
    """
    model = model or PriceModel(data.sources, parameters.model)
    model.fit_structural({name: values.cpu() for name, values in data.features.structural(data.train).items()})
    model.head.start_at(float(data.prices[data.train].log1p().median()))
    return model


def initial_model(parameters: VariantParameters, data: TrainingData, seed: int, ranks: Ranks) -> PriceModel:
    """A fresh model, on the data's device, the same for all ranks; after it, each rank draws random numbers of its own.

    Args:
        parameters: its composition.
        data: whose train rows; the first rank must have them.
        seed: of torch's global generator.
        ranks: who trains.
    """
    torch.manual_seed(seed)
    if ranks.size == 1:
        return prepare_model(parameters, data).to(data.device)
    model = PriceModel(data.sources, parameters.model)
    start = ranks.from_first(lambda: prepare_model(parameters, data, model).state_dict())
    model.load_state_dict(start)
    torch.manual_seed(seed + ranks.rank)
    return model.to(data.device)
