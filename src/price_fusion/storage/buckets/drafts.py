"""Tables in buckets that are about to be written, with the engine that is to write them."""

from __future__ import annotations

from dataclasses import dataclass

from price_fusion.compute import engine_of
from price_fusion.parameters import EngineParameters
from price_fusion.storage.buckets.parts import BucketPlan, Buckets, write_buckets


@dataclass(frozen=True)
class BucketDraft:
    """What a node gives instead of a table that does not fit in memory: saving it computes and writes it."""

    plan: BucketPlan
    engine: EngineParameters


def write_draft(url: str, draft: BucketDraft) -> Buckets:
    """Compute and write a table, as ``write_buckets``; its engine is connected to only if something is missing."""
    return write_buckets(url, draft.plan, engine_of(draft.engine))
