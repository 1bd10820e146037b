"""Shared fixtures: small embedding tables and a tiny checkpoint, all in temporary folders."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from price_fusion.parameters import (
    AttentionFusion,
    BranchParameters,
    HierarchicalFusion,
    MixtureHead,
    MlpHead,
    ModelParameters,
    SourceParameters,
    TrainParameters,
    VariantParameters,
)
from support.projects import compared_project, copy_of, sample_project, shared_project, trained_project

if TYPE_CHECKING:
    from price_fusion.models.checkpoint import Checkpoint
    from price_fusion.prediction.ensemble import EnsembleDraft
    from price_fusion.selection.cross_validation import LabelledData

__all__ = ["compared_project", "copy_of", "sample_project", "shared_project", "trained_project"]
"""Fixtures that are defined elsewhere."""

os.fsync = lambda _descriptor: None  # type: ignore[assignment]  # tests kill processes, never the machine

settings.register_profile("price_fusion", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("price_fusion")

TINY_SOURCES = {
    "picture": SourceParameters(width=5, group="image"),
    "words": SourceParameters(width=9, group="text", structural_columns=3),
}
GROUPED_SOURCES = {
    "picture": SourceParameters(width=5, group="image"),
    "words": SourceParameters(width=9, group="text", structural_columns=3),
    "sketch": SourceParameters(width=4, group="image"),
    "sound": SourceParameters(width=6, group="audio"),
}
"""Three groups: one of two sources that are no neighbours, two of one source."""
TINY_MODELS = {
    "concat": ModelParameters(branch=BranchParameters(width=8), head=MlpHead(hidden=(16, 8))),
    "attention": ModelParameters(
        branch=BranchParameters(width=8), fusion=AttentionFusion(heads=2), head=MlpHead(hidden=(16, 8))
    ),
    "mixture": ModelParameters(
        branch=BranchParameters(width=8, layer_norm=True),
        fusion=AttentionFusion(heads=2),
        head=MixtureHead(hidden=(16, 8), gate_hidden=6),
    ),
    "hierarchical": ModelParameters(
        branch=BranchParameters(width=8, learned_scale=False, layer_norm=True),
        fusion=HierarchicalFusion(heads=2),
        head=MixtureHead(hidden=(16, 8), gate_hidden=0),
    ),
}

LONGEST = ("benchmarks", "browser", "docs", "end_to_end", "notebooks", "robustness")
"""Folders here whose modules take longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, then modules of many tests: else one of several processes is left with it in the end."""
    count = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.parent.name not in LONGEST, -count[item.path]))


LIBRARY = (
    "compute",
    "data",
    "evaluation",
    "metrics",
    "models",
    "prediction",
    "report",
    "robustness",
    "selection",
    "storage",
    "training",
)
"""Folders here whose tests train and score tiny models in this very process."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """The tiny models of the library's tests are fastest on one thread."""
    if request.path.relative_to(Path(__file__).parent).parts[0] not in LIBRARY:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A function that makes an empty folder: also for tests that hypothesis runs many times."""
    return lambda: tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="session")
def make_table(new_folder: Callable[[], Path]) -> Callable[..., EmbeddingTable]:
    """A function that writes a table to a new folder and opens it."""

    def make(
        ids: object,
        vectors: NDArray[np.floating[Any]],
        *,
        source: str = "words",
        structural_columns: int = 0,
        dtype: str = "float16",
        rows_per_shard: int = 1_000,
        folder: Path | None = None,
    ) -> EmbeddingTable:
        folder = folder or new_folder() / source
        raw = RawEmbeddings.from_arrays(np.asarray(ids), vectors, f"{source}.npy")
        declaration = SourceParameters(width=vectors.shape[1], group="text", structural_columns=structural_columns)
        write_table(folder, source, draft_table(raw, declaration, dtype=dtype, rows_per_shard=rows_per_shard))
        return EmbeddingTable(folder)

    return make


@pytest.fixture(scope="session")
def tiny_sources() -> dict[str, SourceParameters]:
    """Two sources: ``picture`` of width 5, ``words`` of width 9 with 3 structural columns."""
    return dict(TINY_SOURCES)


@pytest.fixture(scope="session")
def grouped_sources() -> dict[str, SourceParameters]:
    """Four sources in three groups; those of one group are no neighbours."""
    return dict(GROUPED_SOURCES)


@pytest.fixture(params=sorted(TINY_MODELS))
def tiny_model_parameters(request: pytest.FixtureRequest) -> ModelParameters:
    """Each kind of composition in turn."""
    return TINY_MODELS[request.param]


@pytest.fixture(scope="session")
def make_checkpoint() -> Callable[..., Checkpoint]:
    """A function that makes a checkpoint with random weights and scaling statistics at a fixed seed."""

    def make(model: str = "mixture", dtype: str = "float16", **header: Any) -> Checkpoint:
        import torch

        from price_fusion.models.build import PriceModel
        from price_fusion.models.checkpoint import Checkpoint, CheckpointHeader
        from price_fusion.models.layers.branches import Branch

        torch.manual_seed(5)
        sources = header.setdefault("sources", TINY_SOURCES)
        network = PriceModel(sources, TINY_MODELS[model])
        for name, weight in network.named_parameters():
            if name.endswith(".missing"):
                weight.data.normal_()
        words = network.branches["words"]
        assert isinstance(words, Branch)
        words.fit_structural(torch.rand(50, 3) * torch.tensor([1.0, 20.0, 300.0]))
        network.head.start_at(2.7)
        values: dict[str, Any] = {
            "variant": "tiny",
            "dtypes": dict.fromkeys(sources, dtype),
            "model": TINY_MODELS[model],
            "median_price": 14.25,
            "epoch": 3,
            "validation": {"smape": 51.5},
            "data": {"samples": "0f"},
        }
        return Checkpoint(CheckpointHeader(**(values | header)), dict(network.state_dict()))

    return make


@pytest.fixture
def make_ensemble(make_checkpoint: Callable[..., Checkpoint]) -> Callable[..., EnsembleDraft]:
    """A function that makes an ensemble of no members, which is saved, opened and compared like any other."""

    def make(**manifest: Any) -> EnsembleDraft:
        from price_fusion.metrics.intervals import Calibration
        from price_fusion.prediction.ensemble import EnsembleDraft, EnsembleManifest

        header = make_checkpoint().header
        values: dict[str, Any] = {
            "method": "greedy",
            "members": (),
            "sources": header.sources,
            "dtypes": header.dtypes,
            "median_price": 9.0,
            "out_of_fold_smape": 50.0,
            "data": {},
        }
        calibration = Calibration(np.ones(30), np.ones(30))
        return EnsembleDraft(EnsembleManifest(**(values | manifest)), calibration, {})

    return make


@pytest.fixture
def checkpoint_path(make_checkpoint: Callable[..., Checkpoint], tmp_path: Path) -> Path:
    """A tiny checkpoint on disk."""
    from price_fusion.models.checkpoint import save_checkpoint

    path = tmp_path / "models" / "tiny.safetensors"
    save_checkpoint(path, make_checkpoint())
    return path


@pytest.fixture(scope="session")
def modules_after() -> Callable[[str], set[str]]:
    """A function that runs a statement in a fresh interpreter and gives the modules then loaded."""

    def run(statement: str) -> set[str]:
        code = f"{statement}\nimport sys\nprint(*sorted(sys.modules))"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        return set(result.stdout.split())

    return run


@pytest.fixture(scope="session")
def make_labelled(make_table: Callable[..., EmbeddingTable]) -> Callable[..., LabelledData]:
    """A function that makes products of the tiny sources with prices that depend on them, split and folded."""

    def make(rows: int = 90, *, folds: int = 3, fractions: tuple[float, ...] = (0.7, 0.1, 0.2)) -> LabelledData:
        from price_fusion.data.splits import split_samples
        from price_fusion.selection.cross_validation import LabelledData

        generator = np.random.default_rng(8)
        ids = generator.permutation(rows) + 1_000
        vectors = {"picture": generator.normal(size=(rows, 5)), "words": generator.normal(size=(rows, 9))}
        vectors["words"][:, 6:] = np.abs(vectors["words"][:, 6:])
        tables = {
            "picture": make_table(ids, vectors["picture"].astype(np.float32), source="picture"),
            "words": make_table(ids, vectors["words"].astype(np.float32), structural_columns=3),
        }
        prices = np.exp(2.5 + vectors["picture"][:, 0] + 0.3 * vectors["words"][:, 7])
        samples = pd.DataFrame(
            {"sample_id": ids, "place": np.arange(rows), "price": prices, "group_key": np.arange(rows) // 2}
        )
        split_table = split_samples(
            samples, fractions=fractions, price_quantiles=3, folds=folds, tuned_on={"words": ids[:4]}, seed=3
        )
        return LabelledData(samples, split_table, tables)

    return make


@pytest.fixture(scope="session")
def tiny_variant() -> Callable[..., VariantParameters]:
    """A function that gives a variant of the tiny sources that trains in no time; it selects nothing."""

    def make(**train: Any) -> VariantParameters:
        options = {
            "epochs": 1,
            "batch_size": 32,
            "schedule": "constant",
            "keep": "last",
            "early_stopping_patience": None,
        }
        return VariantParameters(
            sources=("picture", "words"),
            model=TINY_MODELS["concat"],
            train=TrainParameters.model_validate({**options, "device": "cpu", "precision": "float32", **train}),
        )

    return make
