"""What can go wrong, by what the reader of the message has to fix.

Each message names the file, field, row or id concerned, what was found, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHOWN = 5
"""Offenders that a message names; the rest are counted."""


def few(values: Sequence[Any], count: int | None = None) -> str:
    """The first ``SHOWN`` of some values in a message, and whether there are more.

    Args:
        values: in their order.
        count: how many there are, where these are the first of them.
    """
    more = (len(values) if count is None else count) > SHOWN
    return ", ".join(map(str, values[:SHOWN])) + (", ..." if more else "")


class PriceFusionError(Exception):
    """Base of every error that this package raises on purpose."""


class ParameterError(PriceFusionError):
    """The configuration says something that cannot be run."""


class MissingCheckpointError(ParameterError):
    """A model needs weights of others, and the configuration names no file of them."""


class DataError(PriceFusionError):
    """An input file or its contents cannot be used as they are.

    Args:
        message: the whole of it.
        problems: what the message is made of, where it is of several problems; each names its file.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class UnsafePickleError(DataError):
    """A pickle asks for code that loading embeddings never needs."""


class AlignmentError(DataError):
    """Ids of products and of embeddings do not fit together."""


def combined(origin: str, problems: Sequence[DataError]) -> DataError:
    """One error for all that is wrong with a file.

    Args:
        origin: the file, with which each message begins.
        problems: at least one.

    Returns:
        the only one, as it is; several as a list, an ``AlignmentError`` if all of them are.
    """
    if len(problems) == 1:
        return problems[0]
    found = [problem for one in problems for problem in one.problems]
    kind = AlignmentError if all(isinstance(one, AlignmentError) for one in problems) else DataError
    bullets = "".join(f"\n  - {problem.removeprefix(f'{origin}: ')}" for problem in found)
    return kind(f"{origin}: {len(found)} problems:{bullets}", found)


class CheckpointError(PriceFusionError):
    """A checkpoint cannot be read, or does not fit what it is used with."""


class ComparisonError(PriceFusionError):
    """What was to be compared is not of the same rows, data or configuration."""


class TrainingError(PriceFusionError):
    """Training cannot go on."""


class UsageError(PriceFusionError):
    """A command names something that there is not: a pipeline, a node, a tag, an environment."""


class PipelineError(PriceFusionError):
    """A pipeline that was added to ``pipelines/`` cannot be built."""


class MissingPackageError(PriceFusionError):
    """An optional package that is asked for is not installed."""


class StorageError(PriceFusionError):
    """A file or folder cannot be written."""


class BusyError(PriceFusionError):
    """Another process is writing into the folder that this one wants to write into."""


class TrackingError(PriceFusionError):
    """Runs cannot be logged where the configuration says."""


class ComputeError(PriceFusionError):
    """Workers that tasks were handed to cannot be reached, or died."""
