"""Measurements of training and scoring on a device: each takes one variant and adds a row to the figures."""

from __future__ import annotations

import price_fusion  # noqa: F401  # isort: skip - before torch: it sets how torch's threads wait

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from common import declared_sources, declared_variant, random_samples, random_split, write_random_tables
from epochs import counted_rows, of_epochs, timed_epochs
from gpu_tables import Figures
from peaks import Peaks, wait_for
from plain_loop import PlainTraining, ProductItems
from price_fusion.models.losses import LOSSES
from price_fusion.models.scoring import score
from price_fusion.parameters import VariantParameters
from price_fusion.training.initial_model import prepare_model
from price_fusion.training.loader.training_data import TrainingData, training_data
from price_fusion.training.stacked.members import Member
from price_fusion.training.stacked.stacked_training import train_stacked
from price_fusion.training.trainer import Trainer
from timing import ImpossibleFigureError, Timings, timed
from training_speed import counted_flop

GRAPH, EAGER, COMPILED = "CUDA graph", "no graph", "torch.compile in the graph"


class Bench:
    """Tables, the device with what was uploaded to it, and where figures go."""

    def __init__(
        self, folder: Path, options: argparse.Namespace, device: torch.device, peaks: Peaks, figures: Figures
    ) -> None:
        self.options = options
        self.device = device
        self.peaks = peaks
        self.figures = figures
        wanted = {source for name in options.variants for source in declared_variant(name).sources}
        sources = {name: source for name, source in declared_sources().items() if name in wanted}
        self.tables = write_random_tables(folder, sources, options.rows)
        self.samples = random_samples(options.rows, list(sources))
        self.split = random_split(options.rows, options.rows * 4 // 5)
        self._data: dict[str, TrainingData] = {}

    # --- what is trained ---

    def variant(self, name: str, **train: Any) -> VariantParameters:
        """A variant that selects nothing on validation rows, with some training options otherwise."""
        options = {"schedule": "constant", "keep": "last"} | train
        return of_epochs(declared_variant(name), 1 + self.options.repeats, **options)

    def data(self, name: str) -> TrainingData:
        """Features and rows of a variant on the device."""
        if name not in self._data:
            tables = {source: self.tables[source] for source in declared_variant(name).sources}
            self._data[name] = training_data(self.samples, self.split, tables, self.device.type)  # type: ignore[arg-type]
            wait_for(self.device)
        return self._data[name]

    def train_rows(self, name: str) -> TrainingData:
        """The same without validation rows."""
        data = self.data(name)
        return replace(data, validation=data.validation[:0])

    def allowed(self, name: str, parameters: int, precision: str) -> float:
        """Rows a second that the peaks allow in training."""
        variant, data = declared_variant(name), self.data(name)
        batch = min(variant.train.batch_size, len(data.train))
        return self.peaks.training_rate(parameters, batch, precision, counted_flop(variant, data, batch))

    # --- measurements ---

    def upload(self, name: str) -> None:
        """Bring features to the device."""
        self._data.pop(name, None)
        began = perf_counter()
        data = self.data(name)
        times = Timings(f"{name}: upload", self.options.rows)
        times.note(len(data.features), perf_counter() - began)
        size = data.features.bytes
        seconds = times.median(floor=size / self.peaks.copy)
        row = {"variant": name, "size": size / 1e6, "seconds": seconds, "speed": size / seconds / 1e9}
        self.figures.memory.append(row)

    def recorded(self, name: str) -> None:
        """Epochs as a user gets them: steps replayed from a CUDA graph."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        trainer, row = self._epochs(name, GRAPH, self.variant(name))
        self._see_graph(trainer)
        self.figures.add_training(row)
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) / 1e9
            for memory in self.figures.memory:
                memory.update({"peak": peak} if memory["variant"] == name else {})

    def eager(self, name: str) -> None:
        """Epochs whose steps are launched kernel by kernel, and the kernels of one."""
        trainer, row = self._epochs(name, EAGER, self.variant(name, cuda_graph=False))
        self.figures.add_training(row)
        steps = -(-len(trainer.data.train) // trainer.options.batch_size)
        kernels, busy = self._kernels(trainer)
        recorded = self.figures.rate_of(name, GRAPH)
        per_step = {
            "eager": 1e3 * row["epoch"] / steps,
            "recorded": recorded and 1e6 * len(trainer.data.train) / recorded / steps,
        }
        self.figures.steps.append({"variant": name, "kernels": kernels, "busy": busy, **per_step})

    def compiled(self, name: str) -> None:
        """Epochs with the model compiled by torch, inside the graph."""
        backend = "aot_eager" if self.options.smoke else "inductor"

        def compile_model(trainer: Trainer) -> None:
            model = trainer.loop.weights.worker
            model.forward = torch.compile(model.forward, backend=backend)  # type: ignore[method-assign]

        _, row = self._epochs(name, COMPILED, self.variant(name), prepare=compile_model, validated=False)
        self.figures.add_training(row)

    def stacked(self, name: str, count: int) -> None:
        """Epochs of members that are trained together."""
        data, epochs = self.train_rows(name), 1 + self.options.repeats
        members = [Member(seed, data.train, data.validation) for seed in range(count)]
        rows = count * len(data.train)
        whole = Timings(f"{name}: {count} members, {epochs} epochs", epochs * rows)
        with counted_rows() as counted:
            began = perf_counter()
            trained = train_stacked(name, self.variant(name), members, data)
            wait_for(self.device)
        seconds = [record["seconds"] for record in trained[0].history]
        whole.note(counted.rows, perf_counter() - began)
        whole.median(floor=sum(seconds))
        times = Timings(f"{name}: an epoch of {count} members", rows, seconds=seconds[1:])
        parameters = trained[0].checkpoint.header.parameter_counts["total"]
        rate = times.rate(self.allowed(name, parameters, "bf16"))
        row = {"variant": name, "members": count, "epoch": 1e3 * rows / rate, "each": 1e3 * rows / rate / count}
        self.figures.members.append(row | {"rate": rate})

    def plain(self, name: str, workers: int) -> None:
        """Steps of a loop over a DataLoader."""
        variant, data, steps = self.variant(name), self.data(name), self.options.plain_steps
        tables = {source: self.tables[source] for source in variant.sources}
        items = ProductItems(self.samples, tables, self.options.rows)
        model = prepare_model(variant, data).to(self.device)
        plain = PlainTraining(model, items, variant.train, workers)
        times = timed(
            f"{name}: plain loop, {workers} workers",
            steps * plain.batch_size,
            lambda: plain.run(steps),
            self.options.repeats,
        )
        parameters = sum(weight.numel() for weight in model.parameters())
        row = self._training_row(name, f"plain loop, {workers} workers", times, parameters, "float32", len(data.train))
        self.figures.add_training(row)

    def scoring(self, name: str, *, bf16: bool) -> None:
        """Log prices of all products by a model on the device."""
        data, precision = self.data(name), "bf16" if bf16 else "float32"
        model = prepare_model(declared_variant(name), data).to(self.device)
        parameters = sum(weight.numel() for weight in model.parameters())
        index = torch.arange(self.options.rows, device=self.device)

        def scored() -> int:
            return int(score(model, data.features, index, bf16=bf16).isfinite().sum())

        times = timed(f"{name}: scoring in {precision}", self.options.rows, scored, self.options.repeats)
        ceiling = self.peaks.scoring_rate(parameters, precision)
        rate = times.rate(ceiling)
        row = {"variant": name, "precision": precision, "rate": rate, "ceiling": ceiling, "share": 100 * rate / ceiling}
        self.figures.scoring.append(row)

    # --- how ---

    def _epochs(
        self,
        name: str,
        way: str,
        variant: VariantParameters,
        *,
        prepare: Callable[[Trainer], None] = lambda _: None,
        validated: bool = True,
    ) -> tuple[Trainer, dict[str, Any]]:
        """Train without validation, and again with it; the first trainer and a row of the table."""
        repeats = self.options.repeats
        trainer, times, first = timed_epochs(name, variant, self.train_rows(name), repeats, prepare=prepare)
        parameters = sum(weight.numel() for weight in trainer.model.parameters())
        precision = "bf16" if trainer.loop.bf16 else "float32"
        row = self._training_row(name, way, times, parameters, precision, len(trainer.data.train)) | {"first": first}
        if validated:
            _, with_validation, _ = timed_epochs(name, variant, self.data(name), repeats)
            row["validated"] = 1e3 * with_validation.median(floor=1e-3 * row["floor"])
        return trainer, row

    def _training_row(
        self, name: str, way: str, times: Timings, parameters: int, precision: str, epoch_rows: int
    ) -> dict[str, Any]:
        allowed = self.allowed(name, parameters, precision)
        rate = times.rate(allowed)
        return {
            "variant": name,
            "parameters": parameters,
            "way": way,
            "rate": rate,
            "epoch": 1e3 * epoch_rows / rate,
            "floor": 1e3 * epoch_rows / allowed,
            "share": 100 * rate / allowed,
        }

    def _see_graph(self, trainer: Trainer) -> None:
        """Refuse figures of a graph that was never recorded."""
        if self.device.type == "cuda" and trainer.loop.runner.graph is None:
            raise ImpossibleFigureError(f"{trainer.name}: no step was recorded, so none was replayed")

    def _kernels(self, trainer: Trainer) -> tuple[int, float]:
        """Kernels and copies of one step, and microseconds in them; on the CPU, operators."""
        on_gpu = self.device.type == "cuda"
        stretch = next(iter(trainer.loop.feed.epoch(trainer.loop.shuffler)))
        rows = stretch.order[: trainer.options.batch_size]
        with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiled:
            trainer.loop.take(stretch, LOSSES[trainer.options.loss], rows)
            wait_for(self.device)
        wanted = torch.autograd.DeviceType.CUDA if on_gpu else torch.autograd.DeviceType.CPU
        events = [event for event in profiled.events() if event.device_type == wanted]
        if not events:
            raise ImpossibleFigureError(f"{trainer.name}: the profiler saw no kernel in a step")
        return len(events), float(sum(event.time_range.elapsed_us() for event in events))
