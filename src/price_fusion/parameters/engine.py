"""On how many processes and machines a run works, and with how much memory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from price_fusion.errors import ParameterError
from price_fusion.parameters.base import Gigabytes, Parameters


class EngineParameters(Parameters):
    """Where the work is done. Without buckets all tables are files of one machine, and sample tables are in memory."""

    kind: Literal["local", "ray"] = "local"
    """``local``: processes of this machine; ``ray``: a Ray cluster (extra ``ray``), of this machine alone where there is no
    other."""
    buckets: PositiveInt | None = None
    """Hash buckets that all tables are divided into; None: they are not. A bucket of all sources is in memory at a time,
    once a worker: choose as many as make it 100 to 500 MB."""
    memory_gb: Gigabytes = 2.0
    """What DuckDB, the shuffling of raw embeddings, and the windows of training may take each, in 1e9 bytes."""
    rows_in_memory: Annotated[int, Field(ge=100)] = 200_000
    """Products, at most, that are brought into memory from buckets for what needs many at once: evaluation, comparison,
    cross-validation, ensembles, tuning, ablation, leaks and reports. More than that are represented by so many of them, at
    random; up to that many, everything is as without buckets."""
    spill: str | None = None
    """Folder in which DuckDB puts what goes beyond ``memory_gb``; None: beside the tables."""
    workers: PositiveInt | None = None
    """Tasks at a time; None: one a processor core. Each computes on one thread, so that prices are the same on any
    machine of one kind."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often the task of a worker, or a training, that died is begun again."""
    address: str | None = None
    """Of a running Ray cluster; None: the one that Ray finds, else one on this machine."""
    training_processes: PositiveInt = 1
    """Processes that train one model together, each on its share of a batch."""

    @model_validator(mode="after")
    def _buckets_for_ray(self) -> EngineParameters:
        if self.kind == "ray" and self.buckets is None:
            raise ValueError(
                "kind is 'ray' and buckets is null: tasks are buckets. Set engine.buckets, for example to 64"
            )
        return self

    @property
    def bucket_count(self) -> int:
        """The number of buckets, for code that runs only with buckets.

        Raises:
            ParameterError: if there are none.
        """
        if self.buckets is None:
            raise ParameterError(
                "engine.buckets: is null, expected how many buckets tables are divided into, such as 64."
            )
        return self.buckets

    @property
    def memory_bytes(self) -> int:
        """``memory_gb`` in bytes."""
        return int(self.memory_gb * 1e9)
