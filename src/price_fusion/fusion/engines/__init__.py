"""Engines: what runs tasks. Each takes the same tasks, one a bucket or part, and gives the same results."""

from price_fusion.fusion.engines.base import Engine, engine_of

__all__ = ["Engine", "engine_of"]
