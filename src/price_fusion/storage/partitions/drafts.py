"""Tables in partitions that are about to be written, with what says who computes them."""

from __future__ import annotations

from dataclasses import dataclass

from price_fusion.compute import executor_of
from price_fusion.parameters import ComputeParameters
from price_fusion.storage.partitions.parts import PartitionPlan, Partitions, write_partitions


@dataclass(frozen=True)
class PartitionDraft:
    """What a node gives instead of a table that does not fit in memory: saving it computes and writes it."""

    plan: PartitionPlan
    compute: ComputeParameters


def write_draft(url: str, draft: PartitionDraft) -> Partitions:
    """Compute and write a table, as ``write_partitions``; an executor is connected to only if something is missing."""
    return write_partitions(url, draft.plan, executor_of(draft.compute))
