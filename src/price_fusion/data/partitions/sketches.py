"""Sketches of quantiles, of a fixed size whatever the number of values, that can be merged."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Sketch = dict[int, int]

ACCURACY = 0.001
"""Relative error of a quantile of a sketch."""
_LOG_STEP = math.log((1 + ACCURACY) / (1 - ACCURACY))


def sketch(values: Values) -> str:
    """Counts of positive values by logarithmic bins, from which quantiles follow to ``ACCURACY``; packed into a text.

    The bins of C. Masson et al., "DDSketch: a fast and fully-mergeable quantile sketch", 2019.
    """
    if not len(values):
        return ""
    places = np.ceil(np.log(np.asarray(values, np.float64)) / _LOG_STEP).astype(np.int64)
    first = int(places.min())
    counts = np.bincount(places - first).astype("<u4")
    return f"{first} {base64.b64encode(zlib.compress(counts.tobytes())).decode()}"


def merged_sketch(parts: Iterable[str]) -> Sketch:
    """The counts of all values of some parts, by the number of the bin."""
    total: Sketch = {}
    for part in parts:
        if not part:
            continue
        first, packed = part.split()
        counts = np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<u4")
        for place in np.flatnonzero(counts).tolist():
            total[int(first) + place] = total.get(int(first) + place, 0) + int(counts[place])
    return total


def quantile(sketched: Sketch, share: float) -> float:
    """The value that a share of the sketched values lies below; NaN of none."""
    if not sketched:
        return math.nan
    places = sorted(sketched.items())
    counts = np.cumsum([count for _, count in places])
    place = places[int(np.searchsorted(counts, share * (counts[-1] - 1), side="right"))][0]
    return 2 * math.exp(place * _LOG_STEP) / (math.exp(_LOG_STEP) + 1)
