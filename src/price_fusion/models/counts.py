"""How large a model is, component by component, and how large the reference's are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from torch import nn

from price_fusion.models.build import PriceModel

TOTAL = "total"
"""Key of the whole model among the counts."""

_TWO_BRANCHES = {"branches.clip_image": 393_729, "branches.qwen_text": 526_337}
_FOUR_BRANCHES = {
    "branches.clip_image": 394_752,
    "branches.siglip_image": 591_360,
    "branches.siglip_text": 525_824,
    "branches.qwen_text": 527_360,
}
REFERENCE_COUNTS: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "two_branch": {**_TWO_BRANCHES, "fusion": 0, "head": 691_970, TOTAL: 1_612_036},
        "moe": {**_TWO_BRANCHES, "fusion": 4_200_448, "head": 2_599_174, TOTAL: 7_719_688},
        "four_branch": {**_FOUR_BRANCHES, "fusion": 0, "head": 2_787_329, TOTAL: 4_826_625},
        "hierarchical": {**_FOUR_BRANCHES, "fusion": 3_154_944, "head": 8_269_830, TOTAL: 13_464_070},
    }
)
"""Trained parameters of the reference's models, by variant. The totals are known; the components follow from the layers
that it describes, and add up to them. docs/models.md explains how ours differ."""


def parameter_counts(model: PriceModel) -> dict[str, int]:
    """Trained parameters of each branch (``branches.<source>``), of ``fusion``, ``head`` and perhaps ``amount``, and in ``total``."""
    counts = {f"branches.{name}": _count(branch) for name, branch in model.branches.items()}
    counts |= {"fusion": _count(model.fusion), "head": _count(model.head)}
    if model.amount is not None:
        counts["amount"] = _count(model.amount)
    return counts | {TOTAL: sum(counts.values())}


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
