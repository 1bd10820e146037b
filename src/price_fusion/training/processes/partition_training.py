"""Training on partitions: in this process, or by several that torch's elastic launcher or Ray Train starts.

The processes run the same loop in step (``training/ranks.py``). Whoever starts them only does that, and starts all of them again
when one dies; they go on from the last state in the run folder, which all machines must see.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait

from price_fusion.compute.interruption import listening
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.models.build import PriceModel
from price_fusion.models.checkpoint import load_checkpoint
from price_fusion.models.counts import parameter_counts
from price_fusion.parameters import VariantParameters
from price_fusion.parameters.compute import ComputeParameters
from price_fusion.storage.files import write_whole
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.training.epoch_progress import show_parameter_counts
from price_fusion.training.loader.partition_data import StreamedRows
from price_fusion.training.processes.launchers import launch_by_ray, launch_here
from price_fusion.training.processes.workers import POLL, Messages, Work, relayed
from price_fusion.training.ranks import Ranks
from price_fusion.training.resume.run_states import make_way
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.training_run import Trained

WINDOWS = 4
"""Parts of ``memory_gb``, one of which a window may take: two are in memory, and what is being read."""


def train_partitions(
    name: str,
    parameters: VariantParameters,
    samples: Partitions,
    tables: Mapping[str, TablePartitions],
    rows: StreamedRows,
    *,
    seed: int,
    run: RunFolder,
    compute: ComputeParameters,
) -> Trained:
    """Train a variant on rows that are streamed from partitions; validation rows as ``partition_data`` chooses them.

    Args:
        name: of the variant.
        parameters: its composition and training.
        samples: the sample table, labelled and split.
        tables: one per source of the variant, in the order of the model's tokens.
        rows: which of them to train on.
        seed: of the weights, of dropout, of the order of the rows and of the validation sample.
        run: folder that takes checkpoints, state and history; with Ray on several machines, all of them must see it.
        compute: how many processes train, who starts them, and the memory for windows.

    Raises:
        TrainingError: as ``train_variant``.
        DataError: if a partition cannot be used.
        StorageError: if a partition cannot be read, or the run folder not be written.
        ComputeError: if processes died more than ``compute.retries`` times, or failed for no reason that is known.
        MissingPackageError: if Ray is asked for and not installed.
        Interruption: if a signal asked to stop; the state is saved then.
    """
    work = Work(name, parameters, samples, dict(tables), rows, seed, run, compute.memory_bytes // WINDOWS)
    if compute.executor == "local" and compute.training_processes == 1:
        return work.done_by(Ranks())
    work = work.for_workers()
    messages = Messages(work.run.path / "workers")
    messages.clear()
    if not parameters.train.resume:
        make_way(name, work.run)
    sources = {source: table.declaration for source, table in tables.items()}
    show_parameter_counts(name, parameter_counts(PriceModel(sources, parameters.model)))
    launch = launch_by_ray if compute.executor == "ray" else launch_here
    try:
        _attended(lambda: launch(work, messages, compute), messages)
        messages.raise_outcome(name)
    finally:
        messages.clear()
    return Trained(load_checkpoint(work.run.kept), json.loads(work.run.history.read_text(encoding="utf-8")))


def _attended(launch: Callable[[], None], messages: Messages) -> None:
    """Launch in a thread; meanwhile, log what the processes log, and tell them to stop when this run is asked to."""
    with ThreadPoolExecutor(1) as pool, listening() as listener:
        launched, place, asked = pool.submit(launch), 0, False
        try:
            while not launched.done():
                wait([launched], timeout=POLL)
                place = relayed(messages, place)
                if listener.asked and not asked:
                    asked = True
                    write_whole(messages.stop, str(int(listener.asked)).encode())
        except BaseException:
            write_whole(messages.stop, str(int(signal.SIGINT)).encode())
            raise
        relayed(messages, place)
    if not messages.outcome.exists():
        launched.result()
