"""The training loop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau

from price_fusion.errors import TrainingError
from price_fusion.fusion.checkpoint import PRICE_CEILING, Checkpoint, CheckpointHeader
from price_fusion.fusion.engine.device import autocast, uses_bf16
from price_fusion.fusion.engine.features import Features
from price_fusion.fusion.engine.progress import TrainingProgress
from price_fusion.fusion.engine.run_folder import RunFolder
from price_fusion.fusion.engine.scoring import score, to_prices
from price_fusion.fusion.losses import LOSSES, Loss
from price_fusion.fusion.metrics import price_metrics
from price_fusion.fusion.models.build import PriceModel, build_model
from price_fusion.parameters import SourceParameters, TrainParameters, VariantParameters


@dataclass(frozen=True)
class TrainingData:
    """Features and prices on one device, and which rows to fit and to select on."""

    features: Features
    prices: Tensor
    """(N,) float32, USD."""
    train: Tensor
    """Rows to fit, int64."""
    validation: Tensor
    """Rows for the learning rate, early stopping and the choice of the best epoch, int64."""
    fingerprints: dict[str, str]
    """Digests of what the data was made from, for the checkpoint."""


@dataclass(frozen=True)
class Trained:
    """The best epoch's checkpoint and a record per epoch."""

    checkpoint: Checkpoint
    history: list[dict[str, Any]]


def train_variant(
    name: str,
    parameters: VariantParameters,
    sources: dict[str, SourceParameters],
    dtypes: dict[str, str],
    data: TrainingData,
    *,
    seed: int,
    run: RunFolder,
) -> Trained:
    """Train a variant from fresh weights until early stopping or the last epoch.

    Args:
        name: of the variant.
        parameters: its composition and training.
        sources: declaration of each of its sources, in the order of its tokens.
        dtypes: type in which each source's embeddings are stored.
        data: features, prices and rows.
        seed: of the weights, of dropout and of the order of the rows.
        run: folder that takes checkpoints and history while training runs.

    Raises:
        TrainingError: if the loss stops being a number.
    """
    options = parameters.train
    device = data.features.device
    torch.manual_seed(seed)
    shuffler = torch.Generator().manual_seed(seed)
    model = prepare_model(sources, parameters, data).to(device)
    optimizer = AdamW(
        model.parameters(), lr=options.learning_rate, betas=options.betas, weight_decay=options.weight_decay, fused=True
    )
    plateau = ReduceLROnPlateau(
        optimizer, factor=options.plateau_factor, patience=options.plateau_patience, min_lr=options.min_learning_rate
    )
    bf16 = uses_bf16(options.precision, device)
    loss_function = LOSSES[options.loss]
    median_price = float(data.prices[data.train].median())

    run.clear()
    best: Checkpoint | None = None
    best_smape = math.inf
    history: list[dict[str, Any]] = []
    with TrainingProgress(name, options.epochs) as progress:
        for epoch in range(1, options.epochs + 1):
            started = perf_counter()
            learning_rate = optimizer.param_groups[0]["lr"]
            order = data.train[torch.randperm(len(data.train), generator=shuffler).to(device)]
            loss = _train_epoch(model, optimizer, loss_function, data, order, options, bf16)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"{name}: the loss became {loss} in epoch {epoch} (loss {options.loss!r}, learning rate "
                    f"{learning_rate:g}). Lower {name}.train.learning_rate or {name}.train.gradient_clip; the best "
                    f"checkpoint so far, if any, is {run.best}."
                )
            metrics = _validate(model, data, bf16)
            plateau.step(metrics["smape"])
            history.append(
                {"epoch": epoch, "loss": loss, **metrics, "learning_rate": learning_rate}
                | {"seconds": perf_counter() - started}
            )
            checkpoint = Checkpoint(
                CheckpointHeader(
                    variant=name,
                    sources=sources,
                    dtypes=dtypes,
                    model=parameters.model,
                    median_price=median_price,
                    epoch=epoch,
                    validation=metrics,
                    data=data.fingerprints,
                ),
                model.state_dict(),
            )
            if best is None or metrics["smape"] < best_smape:
                best_smape = metrics["smape"]
                best = Checkpoint(checkpoint.header, {key: value.clone() for key, value in checkpoint.weights.items()})
                run.save_best(best)
            if epoch % options.checkpoint_every == 0:
                run.save_periodic(checkpoint)
            run.save_history(history)
            progress.epoch(history[-1], best_smape, len(data.train))
            if epoch - best.header.epoch >= options.early_stopping_patience:
                break
    assert best is not None  # noqa: S101 - there is at least one epoch
    return Trained(best, history)


def prepare_model(
    sources: dict[str, SourceParameters], parameters: VariantParameters, data: TrainingData
) -> PriceModel:
    """A fresh model that knows what train rows alone tell: structural scales, and the median log price to start at."""
    model = build_model(sources, parameters.model)
    model.fit_structural({name: values.cpu() for name, values in data.features.structural(data.train).items()})
    model.head.start_at(float(data.prices[data.train].log1p().median()))
    return model


def _train_epoch(
    model: PriceModel,
    optimizer: AdamW,
    loss_function: Loss,
    data: TrainingData,
    order: Tensor,
    options: TrainParameters,
    bf16: bool,
) -> float:
    """One pass over the rows in this order; the mean loss. Nothing but its end waits for the device."""
    model.train()
    total = torch.zeros((), device=order.device)
    for index in torch.split(order, options.batch_size):
        with autocast(order.device, bf16):
            log_prices = model(data.features.batch(index))
        loss = loss_function(log_prices, data.prices[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(model.parameters(), options.gradient_clip)
        optimizer.step()
        total += loss.detach() * len(index)
    return float(total / len(order))


def _validate(model: PriceModel, data: TrainingData, bf16: bool) -> dict[str, float]:
    log_prices = score(model, data.features, data.validation, bf16=bf16)
    predicted = to_prices(log_prices, floor=0.0, ceiling=PRICE_CEILING)
    return price_metrics(predicted, data.prices[data.validation].cpu().numpy())
