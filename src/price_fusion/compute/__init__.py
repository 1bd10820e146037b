"""Engines: what runs tasks. Each takes the same tasks, one a bucket or part, and gives the same results."""

from price_fusion.compute.executor import Engine
from price_fusion.compute.factory import engine_of

__all__ = ["Engine", "engine_of"]
