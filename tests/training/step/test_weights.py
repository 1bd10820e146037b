"""Flat weights step as torch's own optimizer does on the model's tensors."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from price_fusion.models.build import PriceModel
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.parameters import ModelParameters, SourceParameters, TrainParameters
from price_fusion.training.loop import update
from price_fusion.training.step.weights import FlatWeights, NotFiniteError

SOURCES = {
    "a": SourceParameters(width=6, group="x"),
    "b": SourceParameters(width=7, group="y", structural_columns=2),
}
# No attention: the gradient of a key's bias is 0 but for rounding, which Adam blows up.
PARAMETERS = ModelParameters.model_validate(
    {"branch": {"width": 8}, "head": {"kind": "mixture", "hidden": [8], "dropout": 0}}
)  # fmt: skip


def make_model() -> PriceModel:
    torch.manual_seed(0)
    return PriceModel(SOURCES, PARAMETERS)


def make_batch(seed: int) -> tuple[dict[str, SourceBatch], torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(32, generator=generator) < 0.8
    batch = {
        "a": SourceBatch(torch.randn(32, 6, generator=generator), torch.empty(32, 0), present),
        "b": SourceBatch(
            torch.randn(32, 5, generator=generator),
            torch.rand(32, 2, generator=generator),
            torch.ones(32, dtype=torch.bool),
        ),
    }
    return batch, torch.rand(32, generator=generator) * 3


def step(weights: FlatWeights, loss: torch.Tensor) -> None:
    weights.backward(loss)
    update(weights, loss.detach())


@pytest.mark.parametrize("clip", [0.05, 100.0])
def test_steps_are_those_of_adamw_with_clipping_and_averaging(clip: float) -> None:
    options = TrainParameters(gradient_clip=clip, learning_rate=1e-2, weight_decay=0.1, ema_decay=0.9)
    model = make_model()
    plain = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.1)
    weights = FlatWeights(model, options, bf16=False)
    average: dict[str, torch.Tensor] = {}
    for number in range(6):
        batch, target = make_batch(number)
        step(weights, (weights.worker(batch) - target).square().mean())
        optimizer.zero_grad()
        (plain(batch) - target).square().mean().backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(plain.parameters(), clip)
        optimizer.step()
        state = {name: value.clone() for name, value in plain.state_dict().items()}
        share = 1 / (number + 1)  # the even mean: six steps do not fill the window of ten
        average = {name: average[name].lerp(value, share) for name, value in state.items()} if average else state
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    # The average was taken as a copy before the steps, and follows them.
    torch.testing.assert_close(_averages(weights), average, rtol=1e-4, atol=1e-6)


def _averages(weights: FlatWeights) -> dict[str, torch.Tensor]:
    return dict(weights.averaged_model().state_dict())


def test_an_averaged_model_made_early_follows_the_steps() -> None:
    weights = FlatWeights(make_model(), TrainParameters(ema_decay=0.5), bf16=False)
    averaged = weights.averaged_model()
    before = copy.deepcopy(averaged.state_dict())
    batch, target = make_batch(0)
    step(weights, (weights.worker(batch) - target).square().mean())
    assert not torch.equal(before["head.gate.0.weight"], averaged.state_dict()["head.gate.0.weight"])


def test_a_bf16_worker_sees_the_rounded_weights_after_each_step() -> None:
    weights = FlatWeights(make_model(), TrainParameters(), bf16=True)
    for number in range(3):
        batch, target = make_batch(number)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            prediction = weights.worker(batch)
        step(weights, (prediction.float() - target).square().mean())
    for (name, master), (_, worker) in zip(
        weights.model.named_parameters(), weights.worker.named_parameters(), strict=True
    ):
        assert torch.equal(worker, master.to(worker.dtype)), name
        assert (worker.dtype == torch.bfloat16) == (master.ndim == 2)


def test_state_carries_over() -> None:
    first, second = (FlatWeights(make_model(), TrainParameters(ema_decay=0.9), bf16=False) for _ in range(2))
    batch, target = make_batch(1)
    step(first, (first.worker(batch) - target).square().mean())
    second.load(copy.deepcopy(first.state()))
    for weights in (first, second):
        batch, target = make_batch(2)
        step(weights, (weights.worker(batch) - target).square().mean())
    assert torch.equal(first.values, second.values)
    assert first.average is not None
    assert second.average is not None
    assert torch.equal(first.average, second.average)


def test_a_state_from_before_the_ramp_keeps_its_moving_average() -> None:
    weights = FlatWeights(make_model(), TrainParameters(ema_decay=0.9), bf16=False)
    batch, target = make_batch(0)
    step(weights, (weights.worker(batch) - target).square().mean())
    before = copy.deepcopy(weights.state())
    del before["ramp"]
    weights.load(before)
    step(weights, (weights.worker(batch) - target).square().mean())
    torch.testing.assert_close(weights.average, before["average"].lerp(weights.values.detach(), 0.1))
    assert weights.state()["ramp"] is False


@pytest.mark.parametrize("spoilt", [None, 0, 3])
def test_a_device_that_nobody_waits_for_leaves_out_steps_from_the_first_without_numbers(spoilt: int | None) -> None:
    options = TrainParameters(learning_rate=1e-2, weight_decay=0.1, ema_decay=0.9)
    waited, unwaited = (FlatWeights(make_model(), options, bf16=False, waits=waits) for waits in (True, False))
    for number in range(6):
        batch, target = make_batch(number)
        for weights in (waited, unwaited):
            loss = (weights.worker(batch) - target).square().mean()
            if spoilt is not None and number >= spoilt:
                if weights is waited:
                    continue
                loss = loss * float("nan") if number == spoilt else loss
            step(weights, loss)
    assert torch.equal(waited.values, unwaited.values)
    assert waited.average is not None
    assert unwaited.average is not None
    torch.testing.assert_close(waited.average, unwaited.average, rtol=0, atol=0)
    if spoilt is None:
        unwaited.check()
        return
    with pytest.raises(NotFiniteError) as caught:
        unwaited.check()
    assert caught.value.step == spoilt
    assert caught.value.loss != caught.value.loss


def test_a_gradient_without_numbers_changes_nothing_where_steps_wait() -> None:
    weights = FlatWeights(make_model(), TrainParameters(ema_decay=0.9), bf16=False)
    before = copy.deepcopy(weights.state())
    batch, _ = make_batch(0)
    with pytest.raises(NotFiniteError):
        step(weights, weights.worker(batch).mean() * float("inf"))
    after = weights.state()
    assert torch.equal(after["values"], before["values"])
    assert torch.equal(after["average"], before["average"])
    assert after["steps"] == before["steps"] == 0


def test_parts_of_a_batch_add_up_to_its_gradient() -> None:
    whole, parts = (FlatWeights(make_model(), TrainParameters(), bf16=False) for _ in range(2))
    batch, target = make_batch(0)
    whole.backward((whole.worker(batch) - target).square().mean())
    for number, rows in enumerate((slice(0, 8), slice(8, 32))):
        part = {name: SourceBatch(*(values[rows] for values in source)) for name, source in batch.items()}
        loss = (parts.worker(part) - target[rows]).square().sum() / 32
        parts.backward(loss, add=number > 0)
    torch.testing.assert_close(parts.gradients, whole.gradients, rtol=1e-5, atol=1e-7)
