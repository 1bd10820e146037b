"""Executors: what runs tasks. Each takes the same tasks, one a partition or part, and gives the same results."""

from price_fusion.compute.executor import Executor, executor_of

__all__ = ["Executor", "executor_of"]
