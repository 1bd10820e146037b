"""The graph that is exported.

Shapes: ``B`` products, ``W`` columns of a source, structural ones last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from price_fusion.models.build import PriceModel
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.layers.branches import SourceBatch

PRESENT = "_present"
"""End of the name of the input that says which products a source knows."""
LARGEST_HALF = 65_504.0
"""Of float16."""


class PriceGraph(nn.Module):
    """Prices as ``Predictor`` gives them: rounding to the stored type, normalisation, scaling, model, price transform.

    Its inputs are, for each source in order, (B, W) float32 values as an encoder gives them, and (B,) bool whether the source
    knows the product. A product that no source knows gets the median price. The output is (B,) float32, in currency units.

    Args:
        checkpoint: of a variant.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        header = checkpoint.header
        self.sources = dict(header.sources)
        self.halves = {name: header.dtypes[name] == "float16" for name in self.sources}
        self.model = PriceModel(self.sources, header.model)
        self.model.load_state_dict(checkpoint.weights)
        self.median_price = header.median_price
        self.price_scale = header.price_scale
        self.eval()

    @property
    def input_names(self) -> list[str]:
        """Of the inputs, in order."""
        return [f"{name}{end}" for name in self.sources for end in ("", PRESENT)]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Prices in currency units, (B,) float32."""
        batch = {
            name: self._source_batch(name, values, present)
            for name, values, present in zip(self.sources, inputs[::2], inputs[1::2], strict=True)
        }
        scale = self.price_scale
        logs = self.model(batch).double().clamp(scale.lowest_log, scale.highest_log)
        prices = ((logs.exp() - 1) * scale.unit).clamp(scale.lowest, scale.highest)
        known = torch.stack(inputs[1::2]).any(dim=0)
        return torch.where(known, prices, self.median_price).float()

    def _source_batch(self, name: str, values: Tensor, present: Tensor) -> SourceBatch:
        width = self.sources[name].embedding_width
        vectors = values[:, :width]
        if self.halves[name] and width:
            # As tables do: to float16, but for rows that go beyond its range.
            fits = (vectors.abs() <= LARGEST_HALF).all(dim=1, keepdim=True)
            vectors = torch.where(fits, vectors.half().float(), vectors)
        return SourceBatch(vectors, values[:, width:], present)
