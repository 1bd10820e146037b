"""Random integers that are the same on each machine and with each release of numpy.

numpy promises that the raw bits of PCG64 stay as they are; it does not promise it of ``Generator``'s distributions. So
everything here is integer arithmetic on raw bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

BELL_DEVIATION = 148
"""Standard deviation of ``Draws.bell``, rounded: that of the sum of four bytes."""

_BELL_MEAN = 510


class Draws:
    """A stream of random integers, set by a seed and a name.

    Streams of different names are independent: drawing more from one leaves the others as they were.

    Examples:
        >>> int(Draws(41, "dice").below(6, 1)[0]) < 6
        True
    """

    def __init__(self, seed: int, name: str) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=tuple(name.encode())))

    def below(self, bound: int, *shape: int) -> NDArray[np.int64]:
        """Integers from 0 to ``bound - 1``, equally likely; ``bound`` is at most 2^31."""
        high = self._raw(*shape) >> np.uint64(32)
        return ((high * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    def permutation(self, count: int) -> NDArray[np.int64]:
        """The integers from 0 to ``count - 1`` in random order."""
        return np.argsort(self._raw(count), kind="stable").astype(np.int64)

    def bell(self, rows: int, columns: int) -> NDArray[np.int32]:
        """Bell-shaped integers around 0, from -510 to 510, with standard deviation ``BELL_DEVIATION``.

        The rows of one call are the rows of several calls one after the other, if ``columns`` is even.
        """
        if columns % 2:
            raise ValueError(f"bell needs an even number of columns, got {columns}")
        raw = self._raw(rows, columns // 2).astype("<u8", copy=False).view(np.uint8)
        bytes_ = raw.reshape(rows, 4, columns)
        total = bytes_[:, 0].astype(np.int16)
        for plane in range(1, 4):
            total += bytes_[:, plane]
        return (total - np.int16(_BELL_MEAN)).astype(np.int32)

    def _raw(self, *shape: int) -> NDArray[np.uint64]:
        count = int(np.prod(shape, dtype=np.int64))
        return np.asarray(self._bits.random_raw(count), dtype=np.uint64).reshape(shape)
