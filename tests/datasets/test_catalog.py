"""Whatever a pipeline saves is whole or counts as missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kedro.io import DataCatalog
from kedro.io.core import AbstractDataset

from price_fusion.datasets.checkpoint import CheckpointDataset
from price_fusion.datasets.embedding_table import EmbeddingTableDataset
from price_fusion.datasets.export_folder import ExportDataset
from price_fusion.datasets.fabricated_sample import FabricatedSampleDataset
from price_fusion.datasets.fold_models import FoldModelsDataset
from price_fusion.datasets.partitions import PartitionsDataset
from price_fusion.datasets.whole_file import WholeFileDataset
from price_fusion.parameters import parse_project_parameters
from price_fusion.pipeline_registry import build_pipelines
from price_fusion.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

CONF = Path(__file__).parents[2] / "conf"
WHOLE = (
    WholeFileDataset,
    PartitionsDataset,
    CheckpointDataset,
    EmbeddingTableDataset,
    ExportDataset,
    FabricatedSampleDataset,
    FoldModelsDataset,
)
"""Each has tests of its own in which it is killed or damaged."""


def saved_datasets(environment: str) -> Iterator[tuple[str, AbstractDataset[object, object]]]:
    """Name and dataset of each output of a node that the catalog keeps."""
    loader = CONFIG_LOADER_CLASS(conf_source=str(CONF), env=environment, **CONFIG_LOADER_ARGS)
    pipelines = build_pipelines(parse_project_parameters(loader["parameters"]))
    catalog = DataCatalog.from_config(loader["catalog"])
    for name in sorted({name for pipeline in pipelines.values() for name in pipeline.all_outputs()}):
        if name in catalog:
            yield name, catalog.get(name)


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
@pytest.mark.parametrize("environment", sorted({path.name for path in CONF.iterdir() if path.is_dir()} - {"base"}))
def test_every_saved_dataset_promises_whole_files(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICE_FUSION_RAW", str(tmp_path))  # conf/amazon_subset wants one
    found = dict(saved_datasets(environment))
    in_partitions = {"moe.train_sample_partitions", "moe.prediction_partitions", "moe.ordered_predictions"}
    in_memory = {"train_samples", "split_table", "moe.predictions", "leaderboard"}
    assert {"moe.checkpoint", "moe.metrics"} | (in_partitions if environment == "ray" else in_memory) <= set(found)
    wrong = {name: type(dataset).__qualname__ for name, dataset in found.items() if not isinstance(dataset, WHOLE)}
    assert not wrong, f"wrap in price_fusion.datasets.WholeFileDataset: {wrong}"


def test_a_dataset_of_kedro_would_be_found(tmp_path: Path) -> None:
    entry = {"type": "pandas.CSVDataset", "filepath": str(tmp_path / "a.csv")}
    assert not isinstance(AbstractDataset.from_config("table", entry), WHOLE)
