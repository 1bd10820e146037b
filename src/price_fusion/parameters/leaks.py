"""When something counts as a leak."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from price_fusion.parameters.base import Parameters, Positive


class LeakParameters(Parameters):
    """``check_leaks``: duplicates across splits, and sources that leak prices."""

    near: Annotated[float, Field(ge=0.9, le=1.0)] = 0.999
    """Cosine from which on two different rows of embeddings are near-identical."""
    points: Positive = 5.0
    """Points of SMAPE by which a source must be better on some products than elsewhere to be suspected."""
    significance: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.01
    """Chance of a false suspicion, over all sources and tests together."""
    ratio: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.6
    """A source is suspected below this share of the SMAPE of the next best one."""
    least_smape: Annotated[float, Field(ge=0.0, le=200.0)] = 20.0
    """A source is suspected below this SMAPE in percent, whatever the others reach."""
