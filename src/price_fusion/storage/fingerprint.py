"""Digests of data frames, by which a checkpoint remembers the products and the split that it was trained on."""

from __future__ import annotations

import hashlib

from price_fusion.lazy import pd


def frame_fingerprint(frame: pd.DataFrame) -> str:
    """The same for the same values in the same order, whatever the index."""
    return hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()
