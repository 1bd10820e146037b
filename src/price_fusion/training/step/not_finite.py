"""What is known of a batch whose loss or gradient is NaN or infinite, and what to say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from price_fusion.errors import TrainingError
from price_fusion.parameters import TrainParameters
from price_fusion.training.run_folder import RunFolder

SHOWN_IDS = 16
"""Products that a message names."""


@dataclass(eq=False)
class BadBatchError(Exception):
    """Training met a batch whose loss or gradient is NaN or infinite."""

    epoch: int
    step: int
    """Steps of the run before it."""
    loss: float
    learning_rate: float
    ids: list[Any]
    """Of its products."""

    def error(self, name: str, options: TrainParameters, run: RunFolder | None) -> TrainingError:
        """The error that ends training on it.

        Args:
            name: of the variant.
            options: of its training.
            run: where the batch was noted, and the last state is.
        """
        listed = ", ".join(map(str, self.ids[:SHOWN_IDS]))
        if len(self.ids) > SHOWN_IDS:
            listed += f" and {len(self.ids) - SHOWN_IDS} more" + (f" (all in {run.not_finite})" if run else "")
        state = run.state if run is not None and run.state.exists() else "none"
        return TrainingError(
            f"{name}: the loss became {self.loss:g}, or its gradient NaN or infinite, in epoch {self.epoch}, step {self.step} (loss "
            f"{options.loss_at(self.epoch)!r}, learning rate {self.learning_rate:g}), on the products {listed}. The weights "
            f"were not touched by it; the last state is {state}. Lower {name}.train.learning_rate or "
            f"{name}.train.gradient_clip, or look at these products."
        )
