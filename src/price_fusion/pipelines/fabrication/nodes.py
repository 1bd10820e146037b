"""The node of the ``fabricate`` pipeline."""

from __future__ import annotations

from price_fusion.datasets.fabricated_sample import FabricatedSample
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
