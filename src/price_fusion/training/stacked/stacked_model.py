"""Many models of one composition as one: each computes with its own weights, on its own products.

Shape letters: M models, B products of each.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from price_fusion.models.build import PriceModel
from price_fusion.models.device import autocast
from price_fusion.models.features import Features
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.models.layers.dropout import Dropout
from price_fusion.training.step.source_dropout import hide_sources


class StackedModel:
    """What all models share: their composition, and the features that they read.

    Args:
        model: one of them; its dropout is replaced by torch's own.
        features: of all products, on the models' device.
        bf16: whether matrix products run in it.
    """

    def __init__(self, model: PriceModel, features: Features, *, bf16: bool) -> None:
        self.template, self.features, self.bf16 = with_torch_dropout(model), features, bf16

    def log_prices(
        self,
        parameters: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        index: Tensor,
        source_dropout: float = 0.0,
    ) -> Tensor:
        """Log prices of the products at ``index``, (M, B), each row by the model with these weights and buffers (M, ...)."""
        flat = hide_sources(self.features.batch(index.flatten()), source_dropout)
        batch = {
            name: SourceBatch(*(values.reshape(*index.shape, *values.shape[1:]) for values in source))
            for name, source in flat.items()
        }
        # Of the kernels of attention, only plain products are batched over models everywhere.
        with autocast(index.device, self.bf16), sdpa_kernel(SDPBackend.MATH):
            log_prices: Tensor = vmap(self._log_prices_of_one, randomness="different")(parameters, buffers, batch)
        return log_prices

    def _log_prices_of_one(
        self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], batch: Mapping[str, SourceBatch]
    ) -> Tensor:
        log_prices: Tensor = functional_call(self.template, (dict(parameters), dict(buffers)), (batch,))
        return log_prices


def with_torch_dropout(model: PriceModel) -> PriceModel:
    """The model, with torch's own dropout in place of ours, whose draws in place vmap cannot tell apart by member."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.probability))
    return model
