"""What a training run leaves on disk while it runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from price_fusion.storage.files import write_whole

RUN = "run"
"""In the folder of a variant's models, and in that of its final fit."""


@dataclass(frozen=True)
class RunFolder:
    """A folder with the checkpoint kept so far, periodic ones, the last state, and the history of the finished epochs."""

    path: Path

    @property
    def kept(self) -> Path:
        """The checkpoint kept so far: of the best epoch, or of the last."""
        return self.path / "kept.safetensors"

    @property
    def history(self) -> Path:
        """One record per finished epoch, as JSON."""
        return self.path / "history.json"

    @property
    def state(self) -> Path:
        """What ``resume`` goes on from."""
        return self.path / "state.bin"

    @property
    def states(self) -> tuple[Path, Path]:
        """The last state, and the one before it, which stands in where the last is damaged."""
        return self.state, self.path / "state.previous.bin"

    @property
    def unfinished(self) -> Path:
        """Where the state of an unfinished training is kept once another one has begun."""
        return self.path / "unfinished.bin"

    @property
    def not_finite(self) -> Path:
        """The batch on which loss or gradient were NaN or infinite."""
        return self.path / "not_finite.json"

    def periodic(self, epoch: int) -> Path:
        """The checkpoint kept of an epoch."""
        return self.path / f"epoch-{epoch:04d}.safetensors"

    def clear(self) -> None:
        """Remove what an earlier run left."""
        for path in [
            self.kept,
            self.history,
            self.not_finite,
            *self.states,
            *self.path.glob("epoch-*.safetensors"),
        ]:
            path.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Keep the last state while another training replaces all else; that of an earlier one goes."""
        there = [path for path in self.states if path.exists()]
        there[0].replace(self.unfinished)

    def save_history(self, history: list[dict[str, Any]]) -> None:
        """Replace the history."""
        write_whole(self.history, (json.dumps(history, indent=1) + "\n").encode())

    def save_not_finite(self, batch: dict[str, Any]) -> None:
        """Leave what is known of a batch that stopped training."""
        write_whole(self.not_finite, (json.dumps(batch | {"loss": str(batch["loss"])}, indent=1) + "\n").encode())
