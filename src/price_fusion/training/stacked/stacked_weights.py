"""Weights of many models of one composition as rows of one buffer, stepped together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import stack_module_state
from torch.nn import functional as F
from torch.optim import AdamW

from price_fusion.models.build import PriceModel
from price_fusion.parameters import TrainParameters
from price_fusion.training.step.averaging import newest_share

ROW_MULTIPLE = 64
"""Floats: rows are padded with zeros to a multiple of it, so that each starts at an aligned address."""


class StackedWeights:
    """Weights, gradients and averages of M models in flat buffers, with the optimizer that steps them.

    Each row is a parameter group of one AdamW, with its own learning rate: what it computes is what an optimizer of that
    model alone would. Gradients are clipped, and weights averaged, row by row.

    Shapes: ``values``, ``gradients`` and ``average`` (M, P) float32; of ``buffers`` and of what ``judged`` and
    ``parameters`` hold (M, ...).

    Args:
        models: on one device, of one composition.
        options: optimizer, clipping and averaging.
    """

    def __init__(self, models: Sequence[PriceModel], options: TrainParameters) -> None:
        self.options = options
        stacked, self.buffers = stack_module_state(list(models))
        names = sorted(stacked, key=lambda name: stacked[name].ndim <= 2)  # matrices first: they stay aligned
        self._shapes = {name: stacked[name].shape[1:] for name in names}
        self._state_names = list(models[0].state_dict())
        values = torch.cat([stacked[name].detach().reshape(len(models), -1) for name in names], dim=1)
        self._rows = [nn.Parameter(torch.empty(0, device=values.device)) for _ in models]
        self._place(F.pad(values, (0, -values.shape[1] % ROW_MULTIPLE)))
        self.average = self.values.clone() if options.ema_decay else None
        self.optimizer = AdamW(
            [{"params": [row]} for row in self._rows],
            betas=options.betas,
            weight_decay=options.weight_decay,
            fused=True,
            capturable=values.device.type == "cuda",
        )
        self._place_rates()
        self._steps = torch.zeros((), dtype=torch.int64, device=values.device)

    @property
    def judged(self) -> Tensor:
        """(M, P) weights that are validated and kept: the averages, where there are any."""
        return self.values if self.average is None else self.average

    def by_name(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of (M, P) weights, (M, ...) for each parameter."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        pieces = torch.split(flat[:, : sum(sizes)], sizes, dim=1)
        return {
            name: piece.view(len(flat), *shape)
            for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }

    def state_dict(self, flat: Tensor, buffers: dict[str, Tensor]) -> dict[str, Tensor]:
        """A copy of one model's weights (P,) and buffers, as its own ``state_dict`` would name them."""
        state = {name: view[0].clone() for name, view in self.by_name(flat[None]).items()}
        state |= {name: buffer.clone() for name, buffer in buffers.items()}
        return {name: state[name] for name in self._state_names}

    def set_rates(self, rates: Tensor) -> None:
        """Learning rates of the next steps, (M,)."""
        self._rates.copy_(rates)

    def step(self, losses: Tensor) -> None:
        """Back-propagate each model's loss, (M,), clip, and step weights and averages. Never waits for a GPU."""
        gradients = torch.autograd.grad(losses.sum(), list(self.parameters.values()))
        torch._foreach_copy_(self._gradient_views, gradients)
        norms = torch.linalg.vector_norm(self.gradients, dim=1, keepdim=True)
        self.gradients.mul_((self.options.gradient_clip / (norms + 1e-6)).clamp_max(1.0))
        self.optimizer.step()
        self._steps.add_(1)
        if self.average is not None:
            share = newest_share(self._steps, self.options.ema_decay, ramp=self.options.ema_ramp)
            self.average.lerp_(self.values, share)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the models at these places alone, in new buffers."""
        index = torch.tensor(places, device=self.values.device)
        self.buffers = {name: buffer[index] for name, buffer in self.buffers.items()}
        if self.average is not None:
            self.average = self.average[index]
        self._rows = [self._rows[place] for place in places]
        self._place(self.values[index])
        groups, state = self.optimizer.param_groups, self.optimizer.state
        self.optimizer.param_groups = [groups[place] for place in places]
        for row in set(state) - set(self._rows):
            del state[row]
        self._place_rates()

    def _place(self, values: Tensor) -> None:
        """Take over weights (M, P): what the model computes with, and what the optimizer steps, are views of them."""
        self.values = values
        self.gradients = torch.zeros_like(values)
        self.parameters = {name: view.requires_grad_() for name, view in self.by_name(values).items()}
        self._gradient_views = list(self.by_name(self.gradients).values())
        for row, row_values, row_gradients in zip(self._rows, values, self.gradients, strict=True):
            row.data, row.grad = row_values, row_gradients

    def _place_rates(self) -> None:
        # Tensors, on the CPU too: one copy sets them all.
        self._rates = torch.zeros(len(self._rows), device=self.values.device)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate
