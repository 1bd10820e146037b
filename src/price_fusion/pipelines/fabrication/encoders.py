"""Simulated encoders: embeddings that are blurred, bent views of some of a product's latents.

An encoder places a product in a space of a few dozen axes: the sum of codes of its category, kind, brand and family, of what
the encoder perceives of the other latents (with errors, which no width averages away), and of things that have nothing to do
with the price. A random layer of rectified units bends that space, a second one spreads it over all dimensions, and each
dimension has noise. So products that are alike are close, but the price is not linear in the dimensions.

All numbers are whole and, within sums, smaller than 2^24: float32 holds them exactly, in whatever order BLAS adds them up,
so each machine makes the same bits. The result is on a grid of 1/256.

``N`` products, ``D`` dimensions, ``F`` perceived latents, ``A`` axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .draws import BELL_DEVIATION, Draws
from .latent_products import Products
from .quantities import NOT_STATED, SPELLINGS, StatedQuantities
from .vocabulary import BRANDS, CATEGORIES, CLAIMS, GRADES, KINDS

Matrix = NDArray[np.float32]

_AXES = 32
_UNITS = 256
_DISTRACTIONS = 16
"""Latents in each embedding that have nothing to do with the price: angle, light, turns of phrase."""
_MIDDLE = 128
"""About the mean of a rectified unit: less of it, embeddings point in all directions rather than in one."""
_GRID = 256
_ROWS_AT_ONCE = 1_024
_WHOLE = 2**24
"""Up to here, float32 holds each whole number."""


@dataclass(frozen=True)
class Encoder:
    """How well an encoder perceives what. Gains are in sixteenths."""

    name: str
    reads: str
    """``image`` or ``text``; encoders of the same make the same errors about it, and are distracted by the same."""
    width: int
    category: int
    kind: int
    brand: int
    family: int
    perceives: Mapping[str, int]
    """Latent to gain."""
    blur: int
    """Gain of the errors on each latent."""
    distraction: int
    """Gain of what has nothing to do with the price."""
    grain: int
    """Gain of the noise in each dimension."""


_PICTURE = {"look": 14, "packs": 6}
_TEXT = {"grade": 12, "claims": 10, "log_quantity": 6}
CLIP = Encoder("clip", "image", 768, 24, 12, 16, 20, _PICTURE, blur=6, distraction=4, grain=4)
SIGLIP_IMAGE = Encoder("siglip image", "image", 1152, 24, 12, 16, 20, _PICTURE, blur=5, distraction=4, grain=4)
SIGLIP_TEXT = Encoder("siglip text", "text", 1024, 20, 14, 14, 14, _TEXT, blur=6, distraction=4, grain=4)
QWEN = Encoder("qwen", "text", 1024, 22, 16, 16, 18, _TEXT, blur=4, distraction=4, grain=4)


def embed(encoder: Encoder, products: Products, owners: NDArray[np.int64], seed: int) -> Matrix:
    """Embeddings of all products.

    Args:
        encoder: what is perceived.
        products: N products.
        owners: shape (N,), the product whose picture or text each one shows; same owner, same embedding.
        seed: sets codes, layers and errors.

    Returns:
        Shape (N, D).
    """
    layers = Draws(seed, f"{encoder.name} layers")
    grains = Draws(seed, f"{encoder.name} grain")
    places = _places(encoder, products, seed)
    bend, offsets = layers.bell(_AXES, _UNITS) >> 4, layers.bell(1, _UNITS)
    spread = layers.bell(_UNITS, encoder.width) >> 4
    vectors = np.empty((len(products), encoder.width), dtype=np.float32)
    for start in range(0, len(products), _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, len(products)))
        units = np.clip((exact_product(places[rows], bend) >> 5) + offsets, 0, 1023) - _MIDDLE
        total = exact_product(units, spread) >> 8
        total += (grains.bell(len(total), encoder.width) * encoder.grain) >> 4
        vectors[rows] = total
    vectors /= _GRID
    return vectors[owners] if np.any(owners != np.arange(len(products))) else vectors


def structural_columns(stated: StatedQuantities, seed: int) -> Matrix:
    """Raw ``Value`` (0 where it is not stated) and a code of the unit as it is spelt (0, 0 where it is not).

    Returns:
        Shape (N, 3).
    """
    codes = np.zeros((len(SPELLINGS) + 1, 2), dtype=np.float32)  # the last row is what index NOT_STATED picks
    codes[:-1] = Draws(seed, "unit codes").bell(len(SPELLINGS), 2) / np.float32(_GRID)
    value = np.where(stated.hundredths == NOT_STATED, 0, stated.hundredths) / 100
    return np.column_stack([value.astype(np.float32), codes[stated.spelling]])


def _places(encoder: Encoder, products: Products, seed: int) -> NDArray[np.int32]:
    """Where the encoder sees products, (N, A)."""
    codes = Draws(seed, f"{encoder.reads} codes")
    kinds = codes.bell(len(CATEGORIES) * KINDS, _AXES) * encoder.kind
    places = (codes.bell(len(CATEGORIES), _AXES) * encoder.category)[products.category]
    places += kinds[products.category * KINDS + products.kind]
    places += (codes.bell(len(BRANDS), _AXES) * encoder.brand)[products.brand]
    places += (codes.bell(len(products), _AXES) * encoder.family)[products.family]
    seen = _perceive(encoder, products, Draws(seed, f"{encoder.reads} errors"))
    places += exact_product(seen, codes.bell(seen.shape[1], _AXES) >> 3) >> 1
    clipped: NDArray[np.int32] = np.clip(places >> 5, -2047, 2047)
    return clipped


def _perceive(encoder: Encoder, products: Products, errors: Draws) -> NDArray[np.int32]:
    """What the encoder perceives, errors included, and what distracts it. Shape (N, F + distractions)."""
    found = _latents(products)
    latents = [latent * gain for name, gain in encoder.perceives.items() for latent in found[name]]
    columns = np.stack(latents, axis=1).astype(np.int32)
    noise = errors.bell(len(products), len(latents) + len(latents) % 2 + _DISTRACTIONS)
    columns += noise[:, : len(latents)] * encoder.blur
    distractions = noise[:, -_DISTRACTIONS:] * encoder.distraction
    return np.concatenate([columns, distractions], axis=1) >> 4


def _latents(products: Products) -> dict[str, list[NDArray[np.int64]]]:
    """Latents by name, each brought to a standard deviation of about ``BELL_DEVIATION``."""
    return {
        "look": [products.look],
        "grade": [(products.grade - len(GRADES) // 2) * BELL_DEVIATION],
        "claims": [products.claims[:, index] * (2 * BELL_DEVIATION) for index in range(len(CLAIMS))],
        "packs": [np.minimum(products.packs, 12) * (BELL_DEVIATION // 4)],
        "log_quantity": [products.log_quantity * 3 // 2],
    }


def exact_product(left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.int32]:
    """The matrix product of whole numbers, exact on each machine: BLAS adds up numbers that float32 holds.

    Raises:
        ValueError: if a sum could be too large for that.
    """
    largest = int(np.abs(left).max(initial=0)) * int(np.abs(right).sum(axis=0).max())
    if largest >= _WHOLE:
        raise ValueError(f"sums of up to {largest} are not exact in float32")
    return (left.astype(np.float32) @ right.astype(np.float32)).astype(np.int32)
