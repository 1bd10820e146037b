"""Choosing among settings by their errors on stop rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Setting = TypeVar("Setting")


def chosen(errors: Mapping[Setting, NDArray[np.float64]], usual: Setting) -> Setting:
    """The setting of lowest mean error, if its gain over the usual one exceeds the standard error of the gain.

    Few stop rows choose by chance: on 30 of them the best of many settings is worse on other rows than the usual one
    (docs/decisions/0011-members.md).

    Args:
        errors: of each setting, (S,).
        usual: what to take else.
    """
    best = min(errors, key=lambda setting: float(errors[setting].mean()))
    gain = errors[usual] - errors[best]
    clear = len(gain) > 1 and gain.mean() > gain.std(ddof=1) / math.sqrt(len(gain))
    return best if clear else usual
