"""The nodes of the ``fabricate`` pipeline, one or the other."""

from __future__ import annotations

from price_fusion.datasets.fabricated_sample import FabricatedSample, FabricatedShop
from price_fusion.parameters import FabricationParameters


def fabricate_sample(fabrication: FabricationParameters, seed: int) -> FabricatedSample:
    """Make up products, their texts, prices and embeddings, as ``make_sample`` does."""
    from .sample import make_sample

    return make_sample(fabrication, seed)


def fabricate_shop(fabrication: FabricationParameters, seed: int) -> FabricatedShop:
    """Make up a shop, one file of all products, and embeddings of their texts, as ``make_shop`` does."""
    from .shop import make_shop

    return make_shop(fabrication, seed)
