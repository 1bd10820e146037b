"""The average of the weights over the steps of training, which is what is validated and kept.

The last weights of a training jump about with the last batches; their mean over many steps lies nearer to the bottom
(Polyak and Juditsky, 1992, "Acceleration of stochastic approximation by averaging"). Here it is a moving one: each step
takes a share of the newest weights, 1 - ``ema_decay``, so that it reaches back over some 1 / (1 - ``ema_decay``) steps.

A training shorter than that window has not left its random start: after n steps a plain moving average still holds
``ema_decay`` ** n of the first weights, 82 % of them after the 40 steps of a small shop. So the average begins as the even
mean of all steps so far (share 1 / n), and becomes the moving one when its window is full. Measured in
docs/decisions/0010-averaging.md.
"""

from __future__ import annotations

import torch
from torch import Tensor


def newest_share(steps: Tensor, decay: float, *, ramp: bool) -> Tensor:
    """Share of the newest weights in the average after a step, a float32 scalar.

    It is computed where the steps are counted, so that a step recorded as a CUDA graph takes the share of its own number.

    Args:
        steps: taken so far, this one included, an integer scalar, at least 1.
        decay: of the moving average, in [0, 1).
        ramp: whether the average is the even mean until its window is full; else it is a moving one from the second step
            on, as it was up to version 0.1.
    """
    if ramp:
        return (1 / steps).clamp_min(1 - decay)
    return torch.where(steps > 1, 1 - decay, 1.0)
