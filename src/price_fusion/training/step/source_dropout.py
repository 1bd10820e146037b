"""Sources hidden from the model at random while it trains, so that it predicts without them as well."""

from __future__ import annotations

import torch

from price_fusion.models.layers.branches import SourceBatch


def hide_sources(batch: dict[str, SourceBatch], probability: float) -> dict[str, SourceBatch]:
    """Mark sources of embeddings as absent at random, never the last one that a product has.

    Columns are there for every product, now and later: hiding them would only take away what they tell.

    Args:
        batch: (B, ...) per source.
        probability: of hiding, for each source of each product.
    """
    if not probability:
        return batch
    hidden = {name: source for name, source in batch.items() if source.vectors.shape[1]}
    if not hidden:
        return batch
    present = torch.stack([source.present for source in hidden.values()])
    kept = present & (torch.rand(present.shape, device=present.device) >= probability)
    kept = torch.where(kept.any(dim=0), kept, present)
    return batch | {
        name: source._replace(present=row) for (name, source), row in zip(hidden.items(), kept, strict=True)
    }
