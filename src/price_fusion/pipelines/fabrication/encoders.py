"""Simulated encoders: embeddings that show some of a product's latents, blurred.

An embedding is the sum of a code of the category, a code of the brand, a mixture of what the encoder perceives of the
other latents (with errors of its own, which no width averages away), a mixture of things that have nothing to do with
the price, and grain in each dimension. All of it is integer arithmetic, done by numpy without BLAS, so that each
machine makes the same bits; the result is on a grid of 1/256.

``N`` products, ``D`` dimensions, ``F`` perceived latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .draws import BELL_DEVIATION, Draws
from .products import Products
from .quantities import NOT_STATED, SPELLINGS, StatedQuantities
from .vocabulary import BRANDS, CATEGORIES, CLAIMS, GRADES

Matrix = NDArray[np.float32]

_DISTRACTIONS = 8
"""Latents in each embedding that have nothing to do with the price: angle, light, turns of phrase."""
_GRID = 256
_SHIFT = 5
"""Bits by which the sums are scaled down, to values around 1."""
_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True)
class Encoder:
    """How well an encoder perceives what. Gains are in sixteenths."""

    name: str
    width: int
    category: int
    brand: int
    perceives: Mapping[str, int]
    """Latent to gain."""
    blur: int
    """Gain of the encoder's own errors on each latent."""
    grain: int
    """Gain of the noise in each dimension."""


CLIP = Encoder("clip", 768, 20, 12, {"look": 16, "packs": 8}, blur=6, grain=80)
SIGLIP_IMAGE = Encoder("siglip image", 1152, 20, 14, {"look": 16, "packs": 8}, blur=5, grain=80)
SIGLIP_TEXT = Encoder("siglip text", 1024, 16, 12, {"grade": 16, "claims": 14, "log_quantity": 5}, blur=7, grain=80)
QWEN = Encoder("qwen", 1024, 18, 14, {"grade": 16, "claims": 16, "log_quantity": 6}, blur=4, grain=80)


def embed(encoder: Encoder, products: Products, owners: NDArray[np.int64], seed: int) -> Matrix:
    """Embeddings of all products.

    Args:
        encoder: what is perceived.
        products: N products.
        owners: shape (N,), the product whose picture or text each one shows; same owner, same embedding.
        seed: sets codes, mixtures and errors.

    Returns:
        Shape (N, D).
    """
    errors = Draws(seed, f"{encoder.name} errors")
    mixing = Draws(seed, f"{encoder.name} mixing")
    grains = Draws(seed, f"{encoder.name} grain")
    count = len(products)
    seen = _perceive(encoder, products, errors)
    mixture = mixing.bell(seen.shape[1], encoder.width) >> 4
    categories = mixing.bell(len(CATEGORIES), encoder.width) * encoder.category
    brands = mixing.bell(len(BRANDS), encoder.width) * encoder.brand
    vectors = np.empty((count, encoder.width), dtype=np.float32)
    for start in range(0, count, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, count))
        # einsum, not @: on integers it is ten times as fast, and exact in any order.
        total = np.einsum("nf,fd->nd", seen[rows], mixture)
        total += (categories[products.category[rows]] + brands[products.brand[rows]]) >> 1
        total += (grains.bell(len(total), encoder.width) * encoder.grain) >> 4
        vectors[rows] = total >> _SHIFT
    vectors /= _GRID
    return vectors[owners] if np.any(owners != np.arange(count)) else vectors


def structural_columns(stated: StatedQuantities, seed: int) -> Matrix:
    """Raw ``Value`` (0 where it is not stated) and a code of the unit as it is spelt (0, 0 where it is not).

    Returns:
        Shape (N, 3).
    """
    codes = np.zeros((len(SPELLINGS) + 1, 2), dtype=np.float32)  # the last row is what index NOT_STATED picks
    codes[:-1] = Draws(seed, "unit codes").bell(len(SPELLINGS), 2) / np.float32(_GRID)
    value = np.where(stated.hundredths == NOT_STATED, 0, stated.hundredths) / 100
    return np.column_stack([value.astype(np.float32), codes[stated.spelling]])


def _perceive(encoder: Encoder, products: Products, errors: Draws) -> NDArray[np.int32]:
    """What the encoder perceives, errors included, and what distracts it. Shape (N, F + distractions)."""
    latents = [latent * gain for name, gain in encoder.perceives.items() for latent in _latents(name, products)]
    columns = np.stack(latents, axis=1).astype(np.int32)
    noise = errors.bell(len(products), len(latents) + len(latents) % 2 + _DISTRACTIONS)
    columns += noise[:, : len(latents)] * encoder.blur
    distractions = noise[:, -_DISTRACTIONS:]
    return np.concatenate([columns >> 4, distractions], axis=1)


def _latents(name: str, products: Products) -> list[NDArray[np.int64]]:
    """Latents by name, each brought to a standard deviation of about ``BELL_DEVIATION``."""
    if name == "look":
        return [products.look]
    if name == "grade":
        return [(products.grade - len(GRADES) // 2) * BELL_DEVIATION]
    if name == "claims":
        return [products.claims[:, index] * (2 * BELL_DEVIATION) for index in range(len(CLAIMS))]
    if name == "packs":
        return [np.minimum(products.packs, 12) * (BELL_DEVIATION // 4)]
    if name == "log_quantity":
        return [products.log_quantity * 3 // 2]
    raise ValueError(f"no latent is called {name!r}")
