"""Damage done to our own files, and what becomes of it: shared by ``mutations.py`` and the tests.

A *subject* is a small folder that this package wrote, and a way to read all that is in it. A *mutation* changes its files as
disks, copies and people do. Reading then gives one of four *outcomes*, of which the first two are right.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.splits import split_samples
from price_fusion.data.table import Check, EmbeddingTable, draft_table, write_table
from price_fusion.datasets.whole_file import WholeFileDataset
from price_fusion.errors import PriceFusionError, TrainingError
from price_fusion.models.build import PriceModel
from price_fusion.models.checkpoint import Checkpoint, CheckpointHeader, load_checkpoint, save_checkpoint
from price_fusion.models.estimators import load_estimator
from price_fusion.models.features import features_from_tables
from price_fusion.models.folds import NETWORK, FoldFolder, FoldModel, FoldModels
from price_fusion.parameters import BranchParameters, ComparisonParameters, MlpHead, ModelParameters, SourceParameters
from price_fusion.prediction.ensemble import OutOfFold, build_ensemble, load_ensemble, save_ensemble
from price_fusion.selection.cross_validation import LabelledData, cross_validate_estimator, fold_log_prices, out_of_fold
from price_fusion.storage import digests
from price_fusion.training.resume.state import load_state, save_state
from price_fusion.training.run_folder import RunFolder

ROWS = 96
SOURCES = {
    "picture": SourceParameters(width=5, group="image"),
    "words": SourceParameters(width=9, group="text", structural_columns=3),
}
MODEL = ModelParameters(branch=BranchParameters(width=8), head=MlpHead(hidden=(8,)))
WRITTEN_NS = 10**18
"""Nanoseconds since 1970 at which the files of a subject were written: long ago, so that notes of checks hold."""

Kind = Literal["cut off", "bit flipped", "block zeroed", "bytes appended", "file removed", "files exchanged"]
Outcome = Literal["named error", "right answer", "silently wrong", "other exception"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The last takes two files."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
RIGHT: tuple[Outcome, ...] = OUTCOMES[:2]


@dataclass(frozen=True)
class Subject:
    """Files of this package, and all that reading them gives."""

    name: str
    folder: Path
    read: Callable[[Path], Any]
    """Gives all that is in the folder, as what ``repr`` and ``==`` tell apart."""


@dataclass(frozen=True)
class Mutation:
    """Other contents for some files of a subject; None: the file is gone."""

    kind: Kind
    files: Mapping[str, bytes | None]


@dataclass(frozen=True)
class Result:
    """What became of one mutation."""

    subject: str
    mutation: Mutation
    outcome: Outcome
    said: str
    """The message of an error."""


# --- subjects -------------------------------------------------------------------------------------------------------


def make_subjects(home: Path) -> list[Subject]:
    """Write one small folder of each kind.

    Args:
        home: an empty folder for them.
    """
    labelled = _labelled(home / "data")
    network = _network_models(home / "fold folder of networks", labelled)
    ridge = cross_validate_estimator(
        "ridge", labelled, FoldFolder("ridge", home / "fold folder"), options=ComparisonParameters(), seed=3
    )
    _ensemble(home / "ensemble", labelled, network, ridge)
    (home / "checkpoint").mkdir()
    save_checkpoint(home / "checkpoint/c.safetensors", _checkpoint(0))
    _write_table(home / "table", np.arange(ROWS), seed=1)
    _write_table(home / "table, checked once", np.arange(ROWS), seed=1)
    _write_estimator(home / "estimator folder", ridge)
    _write_states(home / "training states")
    _catalog_file(home / "file of the catalog").save(labelled.samples)

    def of_models(folder: Path) -> Any:
        models = FoldFolder("any", folder).read()
        prices = [fold_log_prices(models, model, labelled.samples, labelled.tables) for model in models.models]
        return replace(models, path=Path()), [values.tobytes() for values in prices]

    def of_estimator(folder: Path) -> Any:
        estimator = load_estimator(folder, threads=1)
        features = features_from_tables(labelled.samples, labelled.tables, estimator.sources)
        return estimator.description, estimator.log_prices(features, np.arange(ROWS)).tobytes()

    def of_ensemble(folder: Path) -> Any:
        ensemble = load_ensemble(folder)
        features = features_from_tables(labelled.samples, labelled.tables, ensemble.sources)
        calibration = [values.tobytes() for values in vars(ensemble.calibration).values()]
        return ensemble.manifest, calibration, ensemble.member_log_prices(features).tobytes()

    subjects = [
        Subject("table", home / "table", lambda folder: _of_table(folder, "always")),
        Subject("table, checked once", home / "table, checked once", _of_table_checked_once),
        Subject("checkpoint", home / "checkpoint", _of_checkpoint),
        Subject("fold folder", home / "fold folder", of_models),
        Subject("fold folder of networks", home / "fold folder of networks", of_models),
        Subject("estimator folder", home / "estimator folder", of_estimator),
        Subject("ensemble folder", home / "ensemble", of_ensemble),
        Subject("training states", home / "training states", _of_states),
        Subject("file of the catalog", home / "file of the catalog", _of_catalog_file),
    ]
    for subject in subjects:
        for path in _files(subject.folder):
            os.utime(path, ns=(WRITTEN_NS, WRITTEN_NS))
        subject.read(subject.folder)  # leaves the record of a table that is checked once
    return subjects


def _write_table(folder: Path, ids: np.ndarray[Any, Any], seed: int, source: str = "words") -> EmbeddingTable:
    declaration = SOURCES[source]
    vectors = np.random.default_rng(seed).normal(size=(len(ids), declaration.width)).astype(np.float32)
    vectors[:, declaration.embedding_width :] = np.abs(vectors[:, declaration.embedding_width :])
    raw = RawEmbeddings.from_arrays(ids, vectors, f"{source}.npy")
    write_table(folder, source, draft_table(raw, declaration, rows_per_shard=ROWS // 3))
    return EmbeddingTable(folder)


def _labelled(home: Path) -> LabelledData:
    ids = np.arange(ROWS)
    tables = {name: _write_table(home / name, ids, seed, name) for seed, name in enumerate(SOURCES)}
    prices = np.exp(2.5 + np.concatenate(tables["picture"].vectors)[:, 0].astype(np.float64))
    samples = pd.DataFrame({"sample_id": ids, "price": prices, "group_key": ids // 2})
    splits = split_samples(samples, fractions=(0.7, 0.1, 0.2), price_quantiles=3, folds=3, tuned_on={}, seed=3)
    return LabelledData(samples, splits, tables)


def _checkpoint(seed: int) -> Checkpoint:
    torch.manual_seed(seed)
    header = CheckpointHeader(
        variant="tiny",
        sources=dict(SOURCES),
        dtypes=dict.fromkeys(SOURCES, "float16"),
        model=MODEL,
        median_price=14.25,
        epoch=3,
        validation={"smape": 51.5},
        data={"samples": "0f"},
    )
    return Checkpoint(header, dict(PriceModel(SOURCES, MODEL).state_dict()))


def _network_models(path: Path, labelled: LabelledData) -> FoldModels:
    """Networks as they are before training: what is in them does not matter here."""
    folder, models = FoldFolder("net", path), []
    for fold in sorted(set(labelled.split_table["fold"]) - {-1}):
        file = f"fold-{fold}-seed-3.safetensors"
        save_checkpoint(path / file, _checkpoint(int(fold)))
        models.append(FoldModel(int(fold), 3, file, "0f", "d0", 1.5, folder.digests(file)))
    whole = FoldModels("net", NETWORK, tuple(models), path)
    folder.write(whole)
    return whole


def _write_estimator(folder: Path, models: FoldModels) -> None:
    load_estimator(models.path_of(models.models[0])).save(folder)


def _ensemble(folder: Path, labelled: LabelledData, *models: FoldModels) -> None:
    """An ensemble in which each member has the same weight."""
    members = [OutOfFold(one, out_of_fold(one, labelled)) for one in models]
    draft = build_ensemble(
        members,
        method="convex",
        sources=SOURCES,
        dtypes=dict.fromkeys(SOURCES, "float16"),
        data={"samples": "0f"},
    )
    files = {one.name: [f"{one.name}-{model.file}" for model in one.models] for one in models}
    described = tuple(
        member.model_copy(update={"weight": 1 / len(models), "models": tuple(files[member.name])})
        for member in draft.manifest.members
    )
    paths = {f"{one.name}-{model.file}": one.path_of(model) for one in models for model in one.models}
    manifest = draft.manifest.model_copy(update={"members": described})
    save_ensemble(folder, replace(draft, manifest=manifest, models=paths))


def _write_states(folder: Path) -> None:
    """The last state and the one before it, of the same contents: either is right."""
    folder.mkdir()
    for _ in range(2):
        save_state(RunFolder(folder).states, {"seed": 3}, {"weights": _checkpoint(0).weights, "step": 17})


def _of_states(folder: Path) -> Any:
    loaded = load_state(RunFolder(folder).states, torch.device("cpu"))
    if loaded is None:
        raise TrainingError(f"{folder}: no state. Start afresh.")
    _, fingerprint, parts = loaded
    weights = [(name, str(one.dtype), one.numpy().tobytes()) for name, one in parts["weights"].items()]
    return fingerprint, parts["step"], weights


def _catalog_file(folder: Path) -> WholeFileDataset:
    return WholeFileDataset(dataset={"type": "pandas.ParquetDataset", "filepath": str(folder / "samples.parquet")})


def _of_catalog_file(folder: Path) -> Any:
    samples = _catalog_file(folder).load()
    return list(samples.dtypes.astype(str)), samples.to_csv()


def _of_table(folder: Path, check: Check) -> Any:
    table = EmbeddingTable(folder, check)
    arrays = [table.ids, *table.vectors, table.structural]
    said = table.source, table.origin, table.dtype, table.declaration, table.fingerprint
    return said, [(array.dtype, array.shape, array.tobytes()) for array in arrays]


def _of_table_checked_once(folder: Path) -> Any:
    with patch.object(
        digests, "SETTLED_NS", -(10**10)
    ):  # all was written long ago: the record of what was checked counts
        return _of_table(folder, "once")


def _of_checkpoint(folder: Path) -> Any:
    checkpoint = load_checkpoint(folder / "c.safetensors")
    weights = [(name, str(one.dtype), one.numpy().tobytes()) for name, one in sorted(checkpoint.weights.items())]
    return checkpoint.header, weights, checkpoint.calibration


# --- mutations ------------------------------------------------------------------------------------------------------


def mutations(files: Mapping[str, bytes], count: int, seed: int) -> Iterator[Mutation]:
    """Draw mutations: each kind as often, each file as often, small ones as large ones.

    Args:
        files: contents of a subject's files.
        count: how many.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    names = sorted(files)
    kinds = KINDS if len(names) > 1 else KINDS[:-1]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        name = names[generator.integers(len(names))]
        if kind == "files exchanged":
            other = _partner(files, name, generator)
            yield Mutation(kind, {name: files[other], other: files[name]})
        else:
            yield Mutation(kind, {name: _changed(kind, files[name], generator)})


def _partner(files: Mapping[str, bytes], name: str, generator: np.random.Generator) -> str:
    """A file to exchange with another: most often one of the same ending and size, such as a shard."""
    others = sorted(set(files) - {name})
    alike = [one for one in others if Path(one).suffix == Path(name).suffix and len(files[one]) == len(files[name])]
    chosen = alike if alike and generator.random() < 0.8 else others
    return chosen[generator.integers(len(chosen))]


def _changed(kind: Kind, contents: bytes, generator: np.random.Generator) -> bytes | None:
    place = int(generator.integers(max(len(contents), 1)))
    if kind == "file removed":
        return None
    if kind == "cut off":
        return contents[:place]
    if kind == "bytes appended":
        return contents + generator.bytes(int(generator.integers(1, 64)))
    changed = bytearray(contents)
    if kind == "bit flipped":
        changed[place] ^= 1 << int(generator.integers(8))
    else:
        stop = min(place + int(generator.integers(1, 513)), len(changed))
        changed[place:stop] = bytes(stop - place)
    return bytes(changed)


# --- outcomes -------------------------------------------------------------------------------------------------------


def outcomes(subject: Subject, count: int, seed: int = 0) -> Iterator[Result]:
    """Mutate a subject again and again, read it each time, and fix it.

    Args:
        subject: whole; it is so again in the end.
        count: mutations.
        seed: of their draws.
    """
    files = {path.relative_to(subject.folder).as_posix(): path.read_bytes() for path in _files(subject.folder)}
    expected = _fingerprint(subject.read(subject.folder))
    for mutation in mutations(files, count, seed):
        for name, contents in mutation.files.items():
            _put(subject.folder / name, contents)
        yield Result(subject.name, mutation, *_outcome(subject, expected))
        for name in {*mutation.files, *_changed_meanwhile(subject.folder, files)}:
            _put(subject.folder / name, files[name])
            os.utime(subject.folder / name, ns=(WRITTEN_NS, WRITTEN_NS))


def counts(results: list[Result]) -> Counter[tuple[str, Kind, Outcome]]:
    """How often each outcome was seen, by subject and kind of mutation."""
    return Counter((result.subject, result.mutation.kind, result.outcome) for result in results)


def _outcome(subject: Subject, expected: str) -> tuple[Outcome, str]:
    try:
        found = _fingerprint(subject.read(subject.folder))
    except PriceFusionError as error:
        return "named error", str(error)
    except Exception as error:
        return "other exception", f"{type(error).__name__}: {error}"
    return ("right answer" if found == expected else "silently wrong"), ""


def _fingerprint(answer: Any) -> str:
    return hashlib.sha256(repr(answer).encode()).hexdigest()


def _changed_meanwhile(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Files that reading itself has written: the record of a table that is checked once."""
    return [
        name for name in files if name.endswith("checked.json") and (folder / name).stat().st_mtime_ns != WRITTEN_NS
    ]


def _put(path: Path, contents: bytes | None) -> None:
    if contents is None:
        path.unlink()
    else:
        path.write_bytes(contents)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
