"""Weights as one buffer: the optimizer, clipping and averaging each make one pass over memory instead of one a tensor.

``model`` keeps its parameters as views of the float32 buffer. Where matrix products run in bf16, a ``worker`` copy of
the model holds its matrices as views of a bf16 buffer that is refreshed after each step, so that no step converts them
again; its other parameters are the float32 ones.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from price_fusion.models.build import PriceModel
from price_fusion.parameters import TrainParameters
from price_fusion.training.step.averaging import newest_share


class NotFiniteError(Exception):
    """A loss or gradient is NaN or infinite; the weights are as they were before it.

    Attributes:
        step: how many steps were taken before it since the weights were made or loaded; None: this is the last one asked
            for.
        loss: of the batch.
    """

    def __init__(self, step: int | None, loss: float) -> None:
        super().__init__(f"loss {loss}")
        self.step = step
        self.loss = loss


class FlatWeights:
    """A model's weights, gradients and averages in flat buffers, with the optimizer that steps them.

    Shapes: ``values``, ``gradients`` and ``average`` (P,) float32; ``matrices`` (M,) bf16, the first M of P rounded.

    Args:
        model: on its device; its parameters become views of ``values``.
        options: optimizer, clipping and averaging.
        bf16: whether the worker's matrices are in bf16.
        waits: whether each step waits to know that its loss and gradient are numbers. By default on the CPU, where that
            costs nothing. Elsewhere the device leaves all steps from the first such one out by itself, and ``check``
            tells later.
    """

    def __init__(self, model: PriceModel, options: TrainParameters, *, bf16: bool, waits: bool | None = None) -> None:
        self.model = model
        self.options = options
        parameters = sorted(model.parameters(), key=lambda parameter: parameter.ndim < 2)  # matrices first
        device = parameters[0].device
        self.values = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
        self.gradients = torch.zeros_like(self.values)
        self.values.grad = self.gradients
        self.average = self.values.detach().clone() if options.ema_decay else None
        self._gradient_views = _views(self.gradients, parameters)

        worker = copy.deepcopy(model) if bf16 else model
        workers = sorted(worker.parameters(), key=lambda parameter: parameter.ndim < 2)
        self.matrices = torch.empty(
            sum(parameter.numel() for parameter in parameters if parameter.ndim >= 2) if bf16 else 0,
            dtype=torch.bfloat16,
            device=device,
        )
        for parameter, view in zip(parameters, _views(self.values.detach(), parameters), strict=True):
            parameter.data = view
        if bf16:
            matrices = [parameter for parameter in workers if parameter.ndim >= 2]
            for parameter, view in zip(matrices, _views(self.matrices, matrices), strict=True):
                parameter.data = view
            for parameter, shared in zip(workers[len(matrices) :], parameters[len(matrices) :], strict=True):
                parameter.data = shared.data
        self.worker = worker
        self._worker_parameters = workers
        self.round_matrices()

        # On a GPU the learning rate is a tensor, so that a captured step takes the rate of the moment.
        rate: float | Tensor = options.learning_rate
        if device.type == "cuda":
            rate = torch.tensor(options.learning_rate, device=device)
        self.optimizer = AdamW(
            [self.values],
            lr=rate,
            betas=options.betas,
            weight_decay=options.weight_decay,
            fused=True,
            capturable=device.type == "cuda",
        )
        self._steps = torch.zeros((), dtype=torch.int64, device=device)
        self._ramp = options.ema_ramp
        self._waits = device.type == "cpu" if waits is None else waits
        self._trouble = _Trouble(device)
        if not self._waits:
            self.optimizer.found_inf = self._trouble.found  # type: ignore[attr-defined]

    def averaged_model(self) -> PriceModel:
        """A copy of the model whose weights are the averages; the model itself where there are none."""
        if self.average is None:
            return self.model
        averaged = copy.deepcopy(self.model)
        parameters = sorted(averaged.parameters(), key=lambda parameter: parameter.ndim < 2)
        for parameter, view in zip(parameters, _views(self.average, parameters), strict=True):
            parameter.data = view
        return averaged

    def set_rate(self, rate: float) -> None:
        """Learning rate of the next steps."""
        group = self.optimizer.param_groups[0]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate

    def backward(self, loss: Tensor, *, add: bool = False) -> None:
        """Gradient of a loss of the worker's output, in place of the one before or added to it."""
        gradients = torch.autograd.grad(loss, self._worker_parameters)
        if add:
            torch._foreach_add_(self._gradient_views, [gradient.float() for gradient in gradients])
        else:
            torch._foreach_copy_(self._gradient_views, gradients)

    def finite_norm(self, loss: Tensor) -> Tensor:
        """Norm of the gradient of this loss (detached). Where steps do not wait, what is not finite is noted for ``check``.

        Raises:
            NotFiniteError: where steps wait, and the loss or the norm is NaN or infinite.
        """
        norm: Tensor = torch.linalg.vector_norm(self.gradients)
        if not self._waits:
            self._trouble.look(norm, loss)
        elif not math.isfinite(norm) or not math.isfinite(loss):
            raise NotFiniteError(None, float(loss))
        return norm

    def clip(self, norm: Tensor) -> None:
        """Scale the gradient down to ``gradient_clip`` if this norm of it is larger."""
        factor = self.options.gradient_clip / (norm + 1e-6)
        if self.gradients.device.type != "cpu":
            self.gradients.mul_(factor.clamp_max(1.0))
        elif factor < 1:  # on the CPU asking costs nothing, and saves a pass over the gradients
            self.gradients.mul_(factor)

    def round_matrices(self) -> None:
        """Give the worker the matrices as they are now, where it has its own in bf16."""
        self.matrices.copy_(self.values.detach()[: len(self.matrices)])

    def add_to_average(self) -> None:
        """Count a step, and take its weights into their average, where there is one."""
        self._steps.add_(1)
        if self.average is not None:
            share = newest_share(self._steps, self.options.ema_decay, ramp=self._ramp)
            self.average.lerp_(self.values.detach(), share if self._waits else share * (1 - self._trouble.found))

    def check(self) -> None:
        """Wait for the device, where steps do not.

        Raises:
            NotFiniteError: if a step was left out; so were all after it.
        """
        if not self._waits and self._trouble.found.item():
            raise NotFiniteError(int(self._trouble.step.item()), float(self._trouble.loss.item()))

    def state(self) -> dict[str, Any]:
        """All that a continuation needs."""
        return {
            "values": self.values.detach(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "steps": int(self._steps),
            "ramp": self._ramp,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state. One that was saved before averages had a ramp goes on without."""
        with torch.no_grad():
            self.values.copy_(state["values"])
            if self.average is not None:
                self.average.copy_(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._steps.fill_(state["steps"])
        self._ramp = state.get("ramp", False)
        self._trouble.steps.zero_()
        self.round_matrices()


class _Trouble:
    """On the device: whether a loss or gradient was NaN or infinite, at which step first, and that loss."""

    def __init__(self, device: torch.device) -> None:
        self.found, self.loss = (torch.zeros((), device=device) for _ in range(2))
        self.step, self.steps = (torch.zeros((), dtype=torch.int64, device=device) for _ in range(2))

    def look(self, norm: Tensor, loss: Tensor) -> None:
        """Take note of a step's gradient norm and loss."""
        sound = torch.isfinite(norm) & torch.isfinite(loss)
        first = ~sound & (self.found == 0)
        self.loss.copy_(torch.where(first, loss.float(), self.loss))
        self.step.copy_(torch.where(first, self.steps, self.step))
        self.found.copy_(torch.maximum(self.found, (~sound).float()))
        self.steps.add_(1)


def _views(buffer: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    pieces = torch.split(buffer, [parameter.numel() for parameter in parameters])
    return [piece.view(parameter.shape) for piece, parameter in zip(pieces, parameters, strict=True)]
