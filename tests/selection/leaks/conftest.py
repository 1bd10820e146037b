"""Products whose price three made-up sources tell a part of, with or without a leak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from price_fusion.data.table import EmbeddingTable

LEAKY = "words"
WIDTHS = {"picture": 32, "words": 48, "sound": 64}


@dataclass(frozen=True)
class Shop:
    samples: pd.DataFrame
    split_table: pd.DataFrame
    tables: dict[str, EmbeddingTable]


@pytest.fixture(scope="session")
def make_shop(make_table: Callable[..., EmbeddingTable]) -> Callable[..., Shop]:
    """A function that makes labelled products.

    Each source is a noisy image of the same 16 factors; 30 % of the variance of the log price are in them. A leak mixes the
    log price itself into one direction of ``words`` for some products, as an encoder tuned on their prices does.
    """

    def make(
        seed: int, leaked: np.ndarray | None = None, *, rows: int = 2_000, strength: float = 0.35, shuffled: bool = True
    ) -> Shop:
        generator = np.random.default_rng(seed)
        factors = generator.normal(size=(rows, 16))
        direction = generator.normal(size=16)
        # Some products are harder to predict than others, for every source.
        noise = generator.normal(size=rows) * np.exp(0.4 * generator.normal(size=rows))
        log_price = 2.7 + 0.55 * factors @ direction / np.linalg.norm(direction) + 0.7 * noise
        log_price = np.clip(log_price, 0.3, 8.0)
        ids = generator.permutation(rows) + 10_000
        tables = {}
        for source, width in WIDTHS.items():
            vectors = factors @ generator.normal(size=(16, width)) / 4 + 0.7 * generator.normal(size=(rows, width))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            if source == LEAKY and leaked is not None:
                secret = generator.normal(size=width)
                vectors += strength * np.outer(leaked * (log_price - log_price.mean()), secret / np.linalg.norm(secret))
            order = generator.permutation(rows) if shuffled else np.arange(rows)
            tables[source] = make_table(ids[order], vectors[order].astype(np.float32), source=source)
        samples = pd.DataFrame(
            {
                "sample_id": ids,
                "place": np.arange(rows),
                "price": np.expm1(log_price),
                "group_key": np.arange(rows),
            }
        )
        held_out = generator.random(rows) < 0.2
        split_table = pd.DataFrame(
            {
                "sample_id": ids,
                "split": np.where(held_out, "holdout", "train"),
                "fold": np.where(held_out, -1, np.arange(rows) % 5),
                "tuned_on": False,
            }
        )
        return Shop(samples, split_table, tables)

    return make
