"""The nodes of the ``fabricate`` pipeline, one or the other."""

from __future__ import annotations

from price_fusion.datasets.fabricated_sample import FabricatedSample, FabricatedShop
from price_fusion.parameters import FabricationParameters


def fabricate_sample(fabrication: FabricationParameters, seed: int) -> FabricatedSample:
    """Make up products, their texts, prices and embeddings.

    Args:
        fabrication: how many, and what share lacks or shares an image.
        seed: the same seed makes the same bits on each machine.

    Returns:
        Labelled products as ``train``, unlabelled ones as ``test``.
    """
    from .sample import make_sample

    return make_sample(fabrication, seed)


def fabricate_shop(fabrication: FabricationParameters, seed: int) -> FabricatedShop:
    """Make up a shop: one file of all products, and embeddings of their texts.

    Args:
        fabrication: how many products have a price, and how many have none.
        seed: the same seed makes the same bits on each machine.
    """
    from .shop import make_shop

    return make_shop(fabrication, seed)
