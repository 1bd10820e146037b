"""Training steps recorded as a CUDA graph: hundreds of kernels launched at once, without Python between them."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

WARM_UP_STEPS = 3
"""Steps that run by themselves first, so that libraries have allocated what a recording must not."""
Step = Callable[[Tensor], None]
"""Takes rows (B, ...) int64, waits for nothing, and leaves its results in tensors that stay where they are."""


class StepRunner:
    """Runs a step for each batch of rows; on a GPU, full batches are replayed from a recording.

    Args:
        batch_size: of the batches that are replayed; others run as they are.
        device: where steps compute.
        capture: whether to record at all.
    """

    def __init__(self, batch_size: int, device: torch.device, *, capture: bool) -> None:
        self._batch_size = batch_size
        self._capture = capture and device.type == "cuda"
        self._side = torch.cuda.Stream(device) if self._capture else None  # type: ignore[no-untyped-call]
        self.forget()

    def forget(self) -> None:
        """Record anew: what steps compute with is in other places."""
        self._key: Hashable = None
        self._left_to_warm_up = WARM_UP_STEPS
        self._rows: Tensor | None = None
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, rows: Tensor, step: Step, key: Hashable) -> None:
        """Run a step.

        Args:
            rows: of the batch.
            step: what to run.
            key: of the step: a recording serves all steps of an equal key. None: run it as it is.
        """
        if not self._capture or key is None or len(rows) != self._batch_size:
            step(rows)
            return
        if key != self._key:
            self.forget()
            self._key = key
        if self._left_to_warm_up:
            self._left_to_warm_up -= 1
            self._run_aside(rows, step)
        else:
            self._replay(rows, step)

    def _run_aside(self, rows: Tensor, step: Step) -> None:
        assert self._side is not None  # noqa: S101 - made whenever steps are captured
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            step(rows)
        torch.cuda.current_stream().wait_stream(self._side)

    def _replay(self, rows: Tensor, step: Step) -> None:
        if self.graph is None or self._rows is None:
            self._rows = rows.clone()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):  # records, runs nothing
                step(self._rows)
        self._rows.copy_(rows)
        self.graph.replay()
