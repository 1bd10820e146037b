"""Digests that say whether a model on disk is the one that would be trained now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.ids import ids_of
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.parameters import VariantParameters
from price_fusion.storage.fingerprint import frame_fingerprint

WITHOUT_EFFECT = ("resume", "state_every", "checkpoint_every", "cuda_graph", "device", "features_gb")
"""Training parameters that do not change what a model learns, or by rounding only."""


def data_fingerprints(
    samples: pd.DataFrame, split_table: pd.DataFrame, tables: Mapping[str, EmbeddingTable]
) -> dict[str, str]:
    """Digests of all that a model may be trained on. Prices of holdout rows are left out: no model may know them.

    Of a table, the rows of these products count.
    """
    known = samples
    if "price" in samples:
        known = samples.assign(price=samples["price"].where((split_table["split"] != "holdout").to_numpy()))
    return {
        **_of_tables(samples, tables),
        "samples": frame_fingerprint(known, "samples"),
        "split": frame_fingerprint(split_table, "split"),
    }


def final_fingerprints(samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable]) -> dict[str, str]:
    """Digests of all rows that a final fit is trained on: with the prices of holdout rows, and without a split."""
    return {
        **_of_tables(samples, tables),
        "samples": frame_fingerprint(samples, "labelled"),
    }


def other_data(
    remembered: Mapping[str, str], current: Mapping[str, str], tables: Mapping[str, EmbeddingTable]
) -> list[str]:
    """Names of what is another now than a model remembers, or is only there now or then.

    Args:
        remembered: digests of the data of the model. One of before has those of whole tables, whoever their products are.
        current: of the data as it is now.
        tables: as they are now.
    """
    different = [
        name
        for name, digest in current.items()
        if remembered.get(name) != digest and not (name in tables and remembered.get(name) == tables[name].fingerprint)
    ]
    return sorted({*different, *(remembered.keys() - current.keys())})


def _of_tables(samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable]) -> dict[str, str]:
    ids = ids_of(samples["sample_id"])
    return {name: table.fingerprint_of(ids) for name, table in tables.items()}


def variant_recipe(
    parameters: VariantParameters, seed: int, data: Mapping[str, str], rows: Sequence[NDArray[np.int64]]
) -> str:
    """Digest of what decides a network's weights, up to rounding.

    Args:
        parameters: composition and training.
        seed: of the training.
        data: digests of its data.
        rows: what it fits and stops on.
    """
    described = parameters.model_dump(mode="json", exclude={"train": set(WITHOUT_EFFECT)})
    return recipe({"variant": described, "seed": seed, "data": dict(data)}, rows)


def recipe(described: Mapping[str, Any], rows: Sequence[NDArray[np.int64]]) -> str:
    """Digest of a description that JSON can hold, and of row numbers."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for chosen in rows:
        digest.update(np.ascontiguousarray(chosen, np.int64).tobytes() + b"|")
    return digest.hexdigest()
