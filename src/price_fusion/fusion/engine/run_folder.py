"""What a training run leaves on disk while it runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from price_fusion.fusion.checkpoint import Checkpoint, save_checkpoint
from price_fusion.fusion.files import whole_file


@dataclass(frozen=True)
class RunFolder:
    """A folder with the checkpoint kept so far, periodic ones, the last state, and the history of the finished epochs."""

    variant: str
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
        return self.path / "state.pt"

    def periodic(self, epoch: int) -> Path:
        """The checkpoint kept of an epoch."""
        return self.path / f"epoch-{epoch:04d}.safetensors"

    def clear(self) -> None:
        """Remove what an earlier run left."""
        for path in [
            self.kept,
            self.history,
            self.state,
            *self.path.glob("epoch-*.safetensors"),
            *self.path.glob(".*.partial"),
        ]:
            path.unlink(missing_ok=True)

    def save_kept(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint kept so far."""
        save_checkpoint(self.kept, checkpoint)

    def save_periodic(self, checkpoint: Checkpoint) -> None:
        """Keep the checkpoint of its epoch."""
        save_checkpoint(self.periodic(checkpoint.header.epoch), checkpoint)

    def save_history(self, history: list[dict[str, Any]]) -> None:
        """Replace the history."""
        with whole_file(self.history) as temporary:
            temporary.write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
