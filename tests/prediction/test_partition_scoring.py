"""Prices of products in partitions are those of products in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from price_fusion.data.alignment import sample_table
from price_fusion.data.partitions.scatter import frame_of
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from price_fusion.models.build import PriceModel
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import ComputeParameters, ModelParameters
from price_fusion.prediction.partition_scoring import PartitionPrediction, packed
from price_fusion.prediction.predictor import Predictor
from price_fusion.storage.partitions.ordered import OrderedRows, write_ordered_csv
from price_fusion.storage.partitions.parts import PartitionDraft, PartitionPlan, Partitions, write_draft
from support.partitions import (
    COMPUTE,
    COUNT,
    EMBEDDED,
    SOURCES,
    Case,
    make_case,
    product_frame,
    raw_embeddings,
    write_products,
    write_samples,
    write_tables,
)


@pytest.fixture
def case(tmp_path: Path, make_checkpoint: Callable[..., Checkpoint]) -> Case:
    return make_case(tmp_path, make_checkpoint)


def written(folder: Path, plan: PartitionPlan, compute: ComputeParameters = COMPUTE) -> Partitions:
    return write_draft(str(folder), PartitionDraft(plan, compute))


def rows_of(partitions: Partitions) -> pd.DataFrame:
    table = pd.concat(frame_of(partitions, partition) for partition in range(COUNT))
    return table.sort_values("row").reset_index(drop=True)


def test_prices_are_those_of_the_predictor(case: Case, tmp_path: Path) -> None:
    priced = rows_of(written(tmp_path / "priced", case.pricing().plan()))
    columns = ["sample_id", "price", "price_low", "price_high", "price_low_90", "price_high_90"]
    assert list(priced.columns) == ["sample_id", "row", *columns[1:]]
    # Layers of this size round by the place in a block (models/scoring.py); tests/end_to_end compares bits.
    pd.testing.assert_frame_equal(priced[columns], case.expected[columns], rtol=1e-6)


def test_several_processes_give_the_same_bytes(case: Case, tmp_path: Path) -> None:
    one = written(tmp_path / "one", case.pricing().plan())
    two = written(
        tmp_path / "two",
        case.pricing().plan(),
        COMPUTE.model_copy(update={"workers": 2}),
    )
    assert one.fingerprint == two.fingerprint


def test_prices_are_the_same_bits_for_every_number_of_partitions_order_and_executor(
    tmp_path: Path, make_checkpoint: Callable[..., Checkpoint]
) -> None:
    frame = product_frame(80, labelled=False)
    raws = {name: raw_embeddings(frame, SOURCES[name], seed=seed) for seed, name in enumerate(EMBEDDED)}
    parameters = ModelParameters.model_validate({"branch": {"width": 16}, "head": {"kind": "mlp", "hidden": [16]}})
    header = make_checkpoint(sources={name: SOURCES[name] for name in EMBEDDED}).header
    network = PriceModel(header.sources, parameters)
    network.head.start_at(2.7)
    checkpoint = Checkpoint(header.model_copy(update={"model": parameters}), dict(network.state_dict()))
    in_memory = {}
    for name in EMBEDDED:
        write_table(tmp_path / name, name, draft_table(raws[name], SOURCES[name]))
        in_memory[name] = EmbeddingTable(tmp_path / name)
    samples = sample_table(frame, "products")
    expected = Predictor(checkpoint).price_samples(samples, in_memory, ())["price"].set_axis(samples["sample_id"])
    for partitions, workers in ((1, 1), (4, 2), (64, 1)):
        compute, folder = ComputeParameters(partitions=partitions, workers=workers), tmp_path / str(partitions)
        shuffled = frame.sample(frac=1, random_state=partitions).assign(row=np.arange(len(frame)))
        products = write_products(folder / "products", shuffled, compute)
        every = write_tables(folder, products, raws, compute)
        tables = {name: every[name] for name in EMBEDDED}
        chosen = write_samples(folder / "samples", products, tables, compute)
        plan = PartitionPrediction(packed(checkpoint), chosen, tables, ()).plan()
        priced = written(folder / "priced", plan, compute)
        found = pd.concat(frame_of(priced, partition) for partition in range(partitions)).set_index("sample_id")
        assert found["row"].tolist() == shuffled.set_index("sample_id").loc[found.index, "row"].tolist()
        pd.testing.assert_series_equal(found["price"], expected.loc[found.index], check_exact=True, check_names=False)


def test_threads_of_torch_are_given_back(case: Case) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        case.pricing()(0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_submission_is_in_the_order_of_the_products(case: Case, tmp_path: Path) -> None:
    priced = written(tmp_path / "priced", case.pricing().plan())
    rows = OrderedRows(priced, ("sample_id", "price"), COMPUTE, tmp_path / "spill")
    write_ordered_csv(tmp_path / "test_out.csv", rows)
    table = pd.read_csv(tmp_path / "test_out.csv")
    assert list(table.columns) == ["sample_id", "price"]
    assert table["sample_id"].tolist() == case.expected["sample_id"].tolist()
    assert table["price"].to_numpy() == pytest.approx(case.expected["price"].to_numpy(), rel=1e-6)
