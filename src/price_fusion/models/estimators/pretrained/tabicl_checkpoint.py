"""The checkpoint of TabICL: a file of the user's, which this package reads and never fetches."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from pydantic import JsonValue

from price_fusion.errors import CheckpointError, MissingCheckpointError, UnsafePickleError
from price_fusion.storage.digests import SHOWN, digest_of, problem_with

PARAMETER = "comparison.tabicl_checkpoint"
WHERE = 'docs/models.md, "TabICL", says where to get one'
DEFAULT_WIDTH = 128
"""Of the embedding of a cell, where the checkpoint leaves it to the package."""


class TabICLCheckpoint(NamedTuple):
    """A file and the digest that it has to have."""

    path: Path
    sha256: str

    @classmethod
    def at(cls, given: str) -> Self:
        """The file that is at a path now.

        Args:
            given: the parameter ``comparison.tabicl_checkpoint``; relative paths start at the current folder.

        Raises:
            MissingCheckpointError: if the parameter is empty.
            CheckpointError: if there is no such file, or it cannot be read.
        """
        if not given:
            raise MissingCheckpointError(
                f"tabicl needs the path of a regression checkpoint in {PARAMETER}, which is empty. Nothing is downloaded; "
                f"{WHERE}."
            )
        path = Path(given).expanduser().absolute()
        try:
            return cls(path, digest_of(path))
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{path}: found no file, expected the checkpoint that {PARAMETER} names. Nothing is downloaded; {WHERE}. "
                "Leave the parameter empty to go on without tabicl."
            ) from error
        except OSError as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error.strerror or error}), expected the checkpoint that {PARAMETER} names."
            ) from error

    @classmethod
    def of(cls, settings: Mapping[str, JsonValue]) -> Self:
        """As the settings of an estimator name it."""
        return cls(Path(str(settings["checkpoint"])), str(settings["checkpoint_sha256"]))

    @property
    def settings(self) -> dict[str, JsonValue]:
        """What the settings of an estimator say of it."""
        return {"checkpoint": str(self.path), "checkpoint_sha256": self.sha256}

    def check(self) -> None:
        """Refuse another file than the one that the estimator was fitted with.

        Raises:
            CheckpointError: if it is missing or has other contents.
        """
        if problem := problem_with(self.path, self.sha256):
            raise CheckpointError(
                f"{self.path}: {problem}; this tabicl estimator was fitted with the checkpoint of sha256 "
                f"{self.sha256[:SHOWN]}, of which it keeps no copy. Put that file (or a link to it) there, or fit again with "
                "the checkpoint that you have."
            )

    def cell_width(self) -> int:
        """Width of the embedding of one cell, from the checkpoint's configuration.

        Raises:
            CheckpointError: if it is no regression checkpoint of TabICL.
            UnsafePickleError: if it asks for code.
        """
        config = _contents(self.path)["config"]
        if config.get("max_classes") != 0:
            raise CheckpointError(
                f"{self.path}: found a checkpoint for {config.get('max_classes', 'some')} classes, expected one for regression "
                f"(max_classes 0), as tabicl-regressor-v2 is. Name another in {PARAMETER}; {WHERE}."
            )
        return int(config.get("embed_dim", DEFAULT_WIDTH))


def _contents(path: Path) -> dict[str, Any]:
    """What the file holds: ``config`` and ``state_dict``. It runs no code: torch reads tensors and plain values alone."""
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafePickleError(
            f"{path}: refused, as it holds more than tensors and plain values, or is damaged; it was not run. Expected a "
            f"checkpoint of TabICL; compare its sha256 with the one that its publisher gives, and {WHERE}."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a file of torch, or damaged ({first_line(error)}). Bring it again; {WHERE}."
        ) from error
    if not isinstance(contents, dict) or not all(
        isinstance(contents.get(key), dict) for key in ("config", "state_dict")
    ):
        raise CheckpointError(
            f"{path}: a file of torch without the two mappings 'config' and 'state_dict', expected a checkpoint of TabICL. Name "
            f"another in {PARAMETER}; {WHERE}."
        )
    return contents


def first_line(error: Exception) -> str:
    """Torch's messages have many lines, and some errors none."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
