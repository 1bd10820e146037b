"""Final fits: the models that predict new products, each the training of an evaluated one, repeated on all labelled rows.

A network takes as many optimizer steps as led to the evaluated weights, with the same batch sizes, learning rates, averaging
and seed: an epoch is as many of the rows, at random, as the evaluated training had. An estimator keeps the settings that its
stop rows chose. (Where features are read in windows, the ends of windows may cost a step more or less an epoch.) Nothing is
selected, so no row need be spared. The intervals are those of the evaluated model, calibrated on
rows that it had not seen.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import JsonValue

from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.roles import EVALUATED, TrainedModel, pipeline_of, roles_of_final_fit
from price_fusion.errors import CheckpointError, ComparisonError
from price_fusion.models.checkpoint import (
    Checkpoint,
    TrainingRecord,
    checkpoint_digest,
    load_checkpoint,
    read_header,
    save_checkpoint,
)
from price_fusion.models.estimators import Estimator, deciding, load_estimator, refit_estimator
from price_fusion.models.features import features_from_tables
from price_fusion.models.folds import NETWORK, FoldFolder, FoldModels
from price_fusion.parameters import ComparisonParameters, ComputeParameters, TrainParameters, VariantParameters
from price_fusion.prediction.ensemble import Ensemble, EnsembleDraft, EnsembleMember, final_ensemble, model_file
from price_fusion.selection.cross_validation import FoldTask, LabelledData, run_tasks
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.training.loader.partition_data import StreamedRows
from price_fusion.training.loader.training_data import TrainingData, training_data
from price_fusion.training.processes.partition_training import train_partitions
from price_fusion.training.recipe import WITHOUT_EFFECT, data_fingerprints, final_fingerprints, other_data, recipe
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import train_variant

logger = logging.getLogger(__name__)


def final_checkpoint(
    evaluated: Checkpoint, labelled: LabelledData, where: TrainParameters, run: RunFolder
) -> Checkpoint:
    """Repeat a variant's training on all labelled rows.

    What the run folder holds of this very fit is gone on with, or taken as it is where it is finished.

    Args:
        evaluated: the checkpoint that was evaluated.
        labelled: the data that it was trained on.
        where: says where to train and what to write; all that decides the weights is taken from the checkpoint.
        run: takes checkpoints, state and history while training runs.

    Raises:
        ComparisonError: if the data is another.
        CheckpointError: if the checkpoint does not say how it was trained.
        TrainingError: as ``train_variant``.
    """
    refuse_other_data(evaluated, labelled)
    train = _train_of(evaluated, where)
    fitted = _repeated(evaluated, train, _data_of(evaluated, labelled, train), run)
    return fitted.in_currency(evaluated.currency).with_intervals_of(evaluated)


def streamed_final_checkpoint(
    evaluated: Checkpoint,
    labelled: LabelledData,
    where: TrainParameters,
    run: RunFolder,
    partitions: tuple[Partitions, Mapping[str, TablePartitions]],
    compute: ComputeParameters,
) -> Checkpoint:
    """Repeat a variant's training on all labelled rows of tables in partitions, which are streamed.

    Args:
        evaluated: the checkpoint that was evaluated.
        labelled: the data that it was trained on, or a sample which says what the whole is.
        where: as of ``final_checkpoint``.
        run: likewise.
        partitions: the sample table, and the tables of all sources of the checkpoint.
        compute: who trains, and the memory for windows.

    Raises:
        As ``final_checkpoint`` and ``train_partitions``.
    """
    refuse_other_data(evaluated, labelled)
    header, training, train = evaluated.header, _training_of(evaluated), _train_of(evaluated, where)
    samples, tables = partitions
    of_model = {name: labelled.tables[name] for name in header.sources}
    data = {**final_fingerprints(labelled.samples, of_model), EVALUATED: checkpoint_digest(evaluated)}
    _log_repeat(evaluated, samples.rows, logging.INFO)
    fitted = train_partitions(
        header.variant,
        VariantParameters(sources=tuple(header.sources), model=header.model, train=train),
        samples,
        {name: tables[name] for name in header.sources},
        StreamedRows(data, split=None, epoch_products=training.epoch_rows),
        seed=training.seed,
        run=run,
        compute=compute,
    )
    return fitted.checkpoint.in_currency(evaluated.currency).with_intervals_of(evaluated)


def fit_ensemble(
    ensemble: Ensemble,
    labelled: LabelledData,
    folders: Mapping[str, FoldFolder],
    where: Mapping[str, TrainParameters],
    options: ComparisonParameters,
) -> EnsembleDraft:
    """Repeat the training of an ensemble's models on all labelled rows; its weights and intervals stay.

    Models that are there already, whole and of this very fit, are not trained again.

    Args:
        ensemble: that was evaluated.
        labelled: the data that it was trained on.
        folders: of each member, by its name; they take the models as they come.
        where: of each variant, as for ``final_checkpoint``.
        options: of estimators.

    Raises:
        ComparisonError, CheckpointError, TrainingError: as ``final_checkpoint``.
    """
    refuse_other_data(ensemble, labelled)
    _refuse_other_preset(ensemble, folders)
    models = [
        _networks(ensemble, member, labelled, folders[member.name], where[member.name])
        if member.kind == NETWORK
        else _estimators(ensemble, member, labelled, folders[member.name], options)
        for member in ensemble.members
    ]
    data = final_fingerprints(labelled.samples, labelled.tables)
    return final_ensemble(ensemble, models, labelled.samples["price"].to_numpy(np.float64), data)


def _networks(
    ensemble: Ensemble, member: EnsembleMember, labelled: LabelledData, folder: FoldFolder, where: TrainParameters
) -> FoldModels:
    """The models of a variant."""

    def fit(todo: Sequence[FoldTask]) -> Iterator[float]:
        data: TrainingData | None = None
        for task in todo:
            began = perf_counter()
            evaluated = load_checkpoint(ensemble.folder / model_file(member.name, task.file))
            train = _train_of(evaluated, where)
            data = data or _data_of(evaluated, labelled, train)
            save_checkpoint(folder.path / task.file, _repeated(evaluated, train, data, run=None))
            yield perf_counter() - began

    seeds = [training.seed for file in member.models if (training := read_header(ensemble.folder / file).training)]
    return run_tasks(folder, member.kind, _tasks(ensemble, member, labelled, seeds, {}), fit)


def _estimators(
    ensemble: Ensemble,
    member: EnsembleMember,
    labelled: LabelledData,
    folder: FoldFolder,
    options: ComparisonParameters,
) -> FoldModels:
    """The models of an estimator."""

    def fit(todo: Sequence[FoldTask]) -> Iterator[float]:
        for task in todo:
            began = perf_counter()
            evaluated = load_estimator(ensemble.folder / model_file(member.name, task.file))
            _refitted(evaluated, labelled, options).save(folder.path / task.file)
            yield perf_counter() - began

    seeds = range(len(member.models))
    return run_tasks(
        folder, member.kind, _tasks(ensemble, member, labelled, seeds, deciding(options, member.kind)), fit
    )


def _refuse_other_preset(ensemble: Ensemble, folders: Mapping[str, FoldFolder]) -> None:
    others = [member.name for member in ensemble.members if member.name not in folders]
    folds = [
        member.name
        for member in ensemble.members
        if any(file.startswith(model_file(member.name, "fold-")) for file in member.models)
    ]
    if not others and not folds:
        return
    what = f"has the member(s) {', '.join(others)}" if others else f"has models of folds alone ({', '.join(folds)})"
    raise ComparisonError(
        f"{ensemble.folder}: this ensemble {what}, and so was made with another ensemble.preset than the one now. Make it "
        "again (kedro run --pipelines ensemble), or let it predict as it is (--params final_fit=false)."
    )


def refuse_other_data(evaluated: TrainedModel, labelled: LabelledData) -> None:
    """Refuse to repeat a training on other data than it had: nothing is known of how well that would do.

    Raises:
        ComparisonError: naming what is another.
    """
    current = data_fingerprints(labelled.samples, labelled.split_table, labelled.tables)
    if different := other_data(evaluated.data, current, labelled.tables):
        former = ""
        if set(different) <= set(labelled.tables):
            former = " (or the model is of an earlier version, and the file has rows of other products, too)"
        raise ComparisonError(
            f"{evaluated.name}: its training cannot be repeated on all labelled rows: {', '.join(different)} "
            f"changed since{former}. "
            f"Train and evaluate it again (kedro run --pipelines {pipeline_of(evaluated, 'train')}), or let the evaluated model predict (--params "
            "final_fit=false)."
        )


def _train_of(evaluated: Checkpoint, where: TrainParameters) -> TrainParameters:
    """How to repeat a training: the epochs that led to the weights kept, at their learning rates, and no selection."""
    header, training = evaluated.header, _training_of(evaluated)
    assert header.train is not None  # noqa: S101 - for the type checker: _training_of has refused it
    rates: dict[str, Any] = {"cosine_epochs": header.train.cosine_epochs or header.train.epochs}
    if header.train.schedule == "plateau":
        rates["plateau_epochs"] = training.plateau_epochs
    return header.train.model_copy(
        update={name: getattr(where, name) for name in WITHOUT_EFFECT}
        | rates
        | {"resume": "if_same", "epochs": header.epoch, "keep": "last", "early_stopping_patience": None}
    )


def _training_of(evaluated: Checkpoint) -> TrainingRecord:
    """The record of a training that can be repeated."""
    header, training = evaluated.header, evaluated.header.training
    if header.train is None or training is None:
        raise CheckpointError(
            f"{header.variant}: its checkpoint does not note how many steps it was trained for, as it was written before there "
            f"were final fits. Train it again (kedro run --pipelines train_{header.variant}), or have it predict as it is "
            "(--params final_fit=false)."
        )
    return training


def _data_of(evaluated: Checkpoint, labelled: LabelledData, train: TrainParameters) -> TrainingData:
    """All labelled rows, with the sources of a checkpoint."""
    samples, tables = labelled.samples, {name: labelled.tables[name] for name in evaluated.header.sources}
    roles = roles_of_final_fit(samples)
    data = training_data(samples, labelled.split_table, tables, train.device, train.features_gb, roles)
    return replace(data, fingerprints=final_fingerprints(samples, tables))


def _repeated(evaluated: Checkpoint, train: TrainParameters, data: TrainingData, run: RunFolder | None) -> Checkpoint:
    header, training = evaluated.header, _training_of(evaluated)
    fingerprints = {**data.fingerprints, EVALUATED: checkpoint_digest(evaluated)}
    data = replace(data, epoch_products=training.epoch_rows, fingerprints=fingerprints)
    variant = VariantParameters(sources=tuple(header.sources), model=header.model, train=train)
    _log_repeat(evaluated, len(data.train), logging.DEBUG if run is None else logging.INFO)
    return train_variant(header.variant, variant, data, seed=training.seed, run=run, quiet=run is None).checkpoint


def _log_repeat(evaluated: Checkpoint, rows: int, level: int) -> None:
    training = _training_of(evaluated)
    logger.log(
        level,
        "%s: final fit on all %s labelled rows: the %s steps of the evaluated training, which had %s rows",
        evaluated.header.variant,
        f"{rows:,}",
        f"{training.steps:,}",
        f"{training.rows:,}",
    )


def _refitted(evaluated: Estimator, labelled: LabelledData, options: ComparisonParameters) -> Estimator:
    samples, declared = labelled.samples, evaluated.sources
    features = features_from_tables(samples, {name: labelled.tables[name] for name in declared}, declared)
    log_prices = evaluated.price_scale.logs(samples["price"])
    return refit_estimator(evaluated, features, log_prices, roles_of_final_fit(samples).fit, options=options)


def _tasks(
    ensemble: Ensemble,
    member: EnsembleMember,
    labelled: LabelledData,
    seeds: Sequence[int],
    options: Mapping[str, JsonValue],
) -> list[FoldTask]:
    """One a model: its file is that of the evaluated model, in a folder of its own."""
    roles = roles_of_final_fit(labelled.samples)
    data = final_fingerprints(labelled.samples, labelled.tables)
    tasks = []
    for file, seed in zip(member.models, seeds, strict=True):
        model = {name: digest for name, digest in ensemble.manifest.sha256.items() if name.split("/")[0] == file}
        described = {"evaluated": model, "data": data, **options}
        place = file.removeprefix(model_file(member.name, ""))
        tasks.append(FoldTask(None, seed, roles, place, recipe(described, (roles.fit,)), recipe(data, ())))
    return tasks
