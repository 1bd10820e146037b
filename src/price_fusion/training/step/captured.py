"""Training steps recorded as a CUDA graph: hundreds of kernels launched at once, without Python between them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP_STEPS = 3
"""Steps that run by themselves first, so that libraries have allocated what a recording must not."""


class StepRunner:
    """Runs a step for each batch of rows; on a GPU, full batches are replayed from a recording.

    Args:
        step: takes rows (B,) int64, waits for nothing, and leaves its results in tensors that stay where they are.
        batch_size: of the batches that are replayed; others run as they are.
        device: where the step computes.
        capture: whether to record at all.
    """

    def __init__(self, step: Callable[[Tensor], None], batch_size: int, device: torch.device, *, capture: bool) -> None:
        self._step = step
        self._batch_size = batch_size
        self._left_to_warm_up = WARM_UP_STEPS
        self._capture = capture and device.type == "cuda"
        self._side = torch.cuda.Stream(device) if self._capture else None  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._rows: Tensor | None = None

    def __call__(self, rows: Tensor) -> None:
        """Run the step for these rows."""
        if not self._capture or len(rows) != self._batch_size:
            self._step(rows)
        elif self._left_to_warm_up:
            self._left_to_warm_up -= 1
            self._run_aside(rows)
        else:
            self._replay(rows)

    def _run_aside(self, rows: Tensor) -> None:
        assert self._side is not None  # noqa: S101 - made whenever steps are captured
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            self._step(rows)
        torch.cuda.current_stream().wait_stream(self._side)

    def _replay(self, rows: Tensor) -> None:
        if self._graph is None or self._rows is None:
            self._rows = rows.clone()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records, runs nothing
                self._step(self._rows)
        self._rows.copy_(rows)
        self._graph.replay()
