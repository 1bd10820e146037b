"""Who computes: on how many processes and machines, with how much memory, in how many partitions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from price_fusion.errors import ParameterError
from price_fusion.parameters.base import Gigabytes, Parameters


class ComputeParameters(Parameters):
    """Where the work is done. Without partitions all tables are files of one machine, and sample tables are in memory."""

    executor: Literal["local", "ray"] = "local"
    """``local``: processes of this machine; ``ray``: a Ray cluster (extra ``ray``), of this machine alone where there is no
    other."""
    partitions: PositiveInt | None = None
    """Partitions that all tables are divided into; None: they are not. A partition of all sources is in memory at a time,
    once a worker: choose as many as make it 100 to 500 MB."""
    memory_gb: Gigabytes = 2.0
    """What DuckDB, the shuffling of raw embeddings, and the windows of training may take each, in 1e9 bytes."""
    rows_in_memory: Annotated[int, Field(ge=100)] = 200_000
    """Products, at most, that are brought into memory from partitions for what needs many at once: evaluation, comparison,
    cross-validation, ensembles, tuning, ablation, leaks and reports. More than that are represented by so many of them, at
    random; up to that many, everything is as without partitions."""
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
    def _partitions_for_ray(self) -> ComputeParameters:
        if self.executor == "ray" and self.partitions is None:
            raise ValueError(
                "executor is 'ray' and partitions is null: a task is a partition. Set compute.partitions, for example to 64"
            )
        return self

    @property
    def is_partitioned(self) -> bool:
        """Whether tables are in partitions."""
        return self.partitions is not None

    @property
    def partition_count(self) -> int:
        """The number of partitions, for code that runs only with partitions.

        Raises:
            ParameterError: if there are none.
        """
        if self.partitions is None:
            raise ParameterError(
                "compute.partitions: is null, expected how many partitions tables are divided into, such as 64."
            )
        return self.partitions

    @property
    def memory_bytes(self) -> int:
        """``memory_gb`` in bytes."""
        return int(self.memory_gb * 1e9)

    def spill_folder(self, otherwise: Path) -> Path:
        """``spill``, or this folder where there is none."""
        return Path(self.spill) if self.spill else otherwise
