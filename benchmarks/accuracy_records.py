"""What models predicted of an outer fold, kept beside the data: a record is made once for the same data and settings."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from bench import Bench
from common import console, revision
from contenders import GUESSES, Model
from outer_folds import FIT_AND_STOP, OUTER_FOLDS, SEED, OuterFold
from price_fusion.errors import PriceFusionError
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.storage.files import whole_file
from price_fusion.storage.fingerprint import frame_fingerprint

Record = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One record to make."""

    model: Model
    outer: OuterFold
    seed: int
    digest: str

    @property
    def file(self) -> str:
        """Of the record."""
        name = self.model.name.replace(" ", "-")
        return f"{name}-fold-{self.outer.number}-seed-{self.seed}-{self.digest}.json"

    @property
    def is_of_ensemble(self) -> bool:
        """Whether it leaves fold models behind."""
        return self.model.family.startswith("ensemble")

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"{self.model.name}, outer fold {self.outer.number}, seed {self.seed}"


def jobs_of(bench: Bench, models: Sequence[Model], folds: Sequence[int]) -> list[Job]:
    """All records that models should have, fold by fold, so that what is done so far is comparable at any time."""
    digests = {model.name: settings_digest(bench, model) for model in models}
    return [
        Job(model, bench.outer_folds[fold], SEED + number, digests[model.name])
        for fold in folds
        for model in models
        for number in range(model.seeds)
    ]


def settings_digest(bench: Bench, model: Model) -> str:
    """Digest of settings, folds and data; not of code."""
    everything = {
        "settings": model.settings,
        "tables": {name: table.fingerprint for name, table in model.tables.items()},
        "samples": frame_fingerprint(bench.samples),
        "folds": [OUTER_FOLDS, SEED, FIT_AND_STOP, bench.configuration.splitting.model_dump(mode="json")],
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:12]


def read_record(bench: Bench, job: Job) -> Record | None:
    """The record of a job, if there is one."""
    path = bench.records / job.file
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def is_done(bench: Bench, job: Job) -> bool:
    """Whether there is a record, made by the version of the package that is installed."""
    record = read_record(bench, job)
    return record is not None and record["package"] == job.model.package


def make_record(bench: Bench, job: Job) -> Record:
    """Fit and predict; a failure is a record, too."""
    record: Record = {"model": job.model.name, "fold": job.outer.number, "seed": job.seed}
    record |= {"package": job.model.package, "revision": revision()}
    try:
        predicted = job.model.predict(job.outer, job.seed)
    except PriceFusionError as error:
        record["failed"] = str(error)
    else:
        record |= {"seconds": predicted.seconds, "details": predicted.details, "prices": predicted.prices.tolist()}
    with whole_file(bench.records / job.file) as temporary:
        temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return record


def train_what_is_missing(bench: Bench, wanted: Sequence[Job]) -> None:
    """Make record after record, and say how far it is."""
    missing = [job for job in wanted if not is_done(bench, job)]
    console.print(f"{len(wanted) - len(missing)} of {len(wanted)} records are there; {len(missing)} to go")
    seconds: dict[str, float] = {}
    for number, job in enumerate(missing, start=1):
        began = perf_counter()
        record = make_record(bench, job)
        seconds[job.model.name] = perf_counter() - began
        rest = missing[number:]
        left = sum(seconds.get(other.model.name, GUESSES[other.model.family]) for other in rest) / 60
        console.print(
            f"{number}/{len(missing)} {job.label}: {_found(bench, job, record)}; {seconds[job.model.name]:.1f} s; "
            f"about {left:.0f} min left",
            highlight=False,
        )
        if job.is_of_ensemble and not any(other.is_of_ensemble and other.outer is job.outer for other in rest):
            shutil.rmtree(bench.models_folder(job.outer.number), ignore_errors=True)


def _found(bench: Bench, job: Job, record: Record) -> str:
    if "failed" in record:
        return f"failed: {record['failed']}"
    smape = smape_per_product(np.asarray(record["prices"]), bench.prices[job.outer.scored]).mean()
    return f"SMAPE {smape:.2f} %"
