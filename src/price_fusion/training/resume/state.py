"""Training states: all that a continuation needs to end as if nothing had happened, to the bit.

A state file is a line that names the format, a line with the sha256 of the rest, and what ``torch.save`` makes of the
fingerprint and the parts. Of each run two are kept: where the last is damaged, the one before it stands in.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from price_fusion.errors import TrainingError
from price_fusion.storage.files import whole_file

logger = logging.getLogger(__name__)

MAGIC = b"price-fusion state 5"
LARGEST_SHARE = 0.05
"""Of the time, that saving at the end of epochs may take."""


class _DamagedStateError(Exception):
    """A state file does not hold what was written."""


@dataclass
class SaveClock:
    """When to save: every so many seconds, and at the end of an epoch unless epochs are so short that it would slow them."""

    every: float
    """Seconds."""
    cost: float = 0.0
    """Seconds that the last save took."""
    _last: float = field(default_factory=perf_counter)

    @property
    def elapsed(self) -> float:
        """Seconds since the last save."""
        return perf_counter() - self._last

    def is_due(self, *, epoch_ended: bool) -> bool:
        """Whether to save now."""
        return self.elapsed >= self.every or (epoch_ended and self.cost <= LARGEST_SHARE * self.elapsed)

    def saved(self, seconds: float) -> None:
        """Take note of a save that took so long."""
        self.cost, self._last = seconds, perf_counter()


def save_state(states: Sequence[Path], fingerprint: dict[str, Any], parts: dict[str, Any]) -> None:
    """Write a state; the last one becomes the one before it.

    Args:
        states: where the last and the one before it are kept.
        fingerprint: of the run, as ``describe_run`` gives it.
        parts: tensors, numbers and text.
    """
    buffer = io.BytesIO()
    torch.save({"fingerprint": json.dumps(fingerprint), "parts": parts}, buffer)
    payload = buffer.getbuffer()
    last, before = states
    with whole_file(last) as temporary:
        with temporary.open("wb") as file:
            file.write(MAGIC + b"\n" + _digest(MAGIC, payload) + b"\n")
            file.write(payload)
        if last.exists():
            last.replace(before)  # dying here leaves the one before it alone, which is whole


State = tuple[Path, dict[str, Any], dict[str, Any]]
"""The file of a state, its fingerprint and its parts."""


def load_state(states: Sequence[Path], device: torch.device) -> State | None:
    """Read the last state that is whole.

    Args:
        states: where the last and the one before it are kept.
        device: of the tensors.

    Returns:
        its file, fingerprint and parts, or None where there is no state.

    Raises:
        TrainingError: if all that are there are damaged, or one is of another version.
    """
    found, damage = _last_whole(states, device)
    if found is None and damage:
        raise TrainingError(f"{'; '.join(damage)}. Start afresh with <variant>.train.resume=false.")
    if found is None:
        logger.warning("%s: no state to resume; training starts afresh", states[0])
    elif damage:
        _warn_of_fallback(found, damage)
    return found


def load_state_of(fingerprint: dict[str, Any], states: Sequence[Path], device: torch.device) -> State | None:
    """Read the last state that is whole, if it is of this very run; None where it is of another, or there is none.

    Args:
        fingerprint: of the run, as ``describe_run`` gives it.
        states: as of ``load_state``.
        device: of the tensors.
    """
    try:
        found, damage = _last_whole(states, device)
    except TrainingError:  # of another version
        return None
    if found is None and damage:
        logger.warning("%s; no state before it is whole, so training starts afresh", damage[0])
    if found is None or found[1] != fingerprint:
        return None
    if damage:
        _warn_of_fallback(found, damage)
    return found


def unfinished_epoch(states: Sequence[Path]) -> int | None:
    """The epoch in which the last whole state stopped; None where there is none, or its training was over."""
    try:
        found, _ = _last_whole(states, torch.device("cpu"))
    except TrainingError:
        return None
    if found is None or found[2]["over"]:
        return None
    return int(found[2]["progress"]["epoch"]) + 1


def _last_whole(states: Sequence[Path], device: torch.device) -> tuple[State | None, list[str]]:
    """The last state that is whole, and what is wrong with those after it."""
    damage: list[str] = []
    for path in states:
        try:
            return (path, *_read_state(path, device)), damage
        except FileNotFoundError:
            continue
        except _DamagedStateError as error:
            damage.append(f"{path}: damaged state ({error})")
    return None, damage


def _warn_of_fallback(found: State, damage: Sequence[str]) -> None:
    logger.warning("%s; going on from the one before it, %s", damage[0], found[0])


def _read_state(path: Path, device: torch.device) -> tuple[dict[str, Any], dict[str, Any]]:
    magic, digest, payload = [*path.read_bytes().split(b"\n", 2), b"", b""][:3]
    if _digest(magic, payload) != digest:
        raise _DamagedStateError("its contents are not those that were written")
    if magic != MAGIC:
        raise TrainingError(f"{path}: found {magic.decode()!r}, this program reads {MAGIC.decode()!r}. Start afresh.")
    # Whole by its digest: what is left to go wrong is no damage.
    state = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    return json.loads(state["fingerprint"]), state["parts"]


def _digest(magic: bytes, payload: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(magic)
    digest.update(payload)
    return digest.hexdigest().encode()
