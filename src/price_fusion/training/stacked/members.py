"""Members: models of one variant that are trained together, each with its seed and rows, and how far each is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from price_fusion.metrics.price_scale import PriceScale
from price_fusion.models.build import PriceModel
from price_fusion.parameters import VariantParameters
from price_fusion.training.initial_model import prepare_model
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.step.schedules import Schedule
from price_fusion.training.training_run import RunProgress


@dataclass(frozen=True)
class Member:
    """One model of many: its seed, and its rows of the data that all share."""

    seed: int
    """Of the weights and of the order of the rows."""
    train: Tensor
    """Rows to fit, int64."""
    validation: Tensor
    """Rows for the learning rate, early stopping and the choice of the best epoch, int64."""


@dataclass
class MemberRun:
    """One member's run: what it knows of its data, and how far it is."""

    member: Member
    schedule: Schedule
    median_price: float
    price_scale: PriceScale
    buffers: dict[str, Tensor]
    """Structural scales of its train rows."""
    kept: Tensor
    """(P,) weights of the epoch that is kept: the best, or the last."""
    shuffler: torch.Generator
    kept_epoch: int = 0
    kept_metrics: dict[str, float] = field(default_factory=dict)
    progress: RunProgress = field(default_factory=RunProgress)

    def order(self, rows: int) -> Tensor:
        """So many train rows in random order: the first that training this member alone would take."""
        train = self.member.train
        return train[torch.randperm(len(train), generator=self.shuffler)[:rows].to(train.device)]

    def epoch_ended(self, record: dict[str, Any], metrics: dict[str, float], weights: Tensor) -> None:
        """Take note of an epoch, and of the weights (P,) that it ended with if they are to be kept."""
        self.schedule.epoch_ended(metrics.get("smape", math.inf))
        if self.progress.note(record) or self.schedule.parameters.keep == "last":
            self.kept_epoch, self.kept_metrics = record["epoch"], metrics
            self.kept.copy_(weights)

    @property
    def is_over(self) -> bool:
        """Whether its last epoch is done."""
        return self.progress.is_over(self.schedule.parameters)


def fresh_model(parameters: VariantParameters, data: TrainingData, member: Member) -> PriceModel:
    """A member's model as its training alone would start with it; seeds torch's global generator."""
    torch.manual_seed(member.seed)
    return prepare_model(parameters, replace(data, train=member.train, validation=member.validation))


def check_members(members: Sequence[Member]) -> None:
    """Refuse no members, and members without rows."""
    if not members:
        raise ValueError("there are no members to train")
    for member in members:
        if not len(member.train):
            raise ValueError(f"the member with seed {member.seed} has no rows to train on")
