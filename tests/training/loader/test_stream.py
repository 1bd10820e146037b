"""Training on rows that are streamed from partitions, in one process."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from price_fusion.errors import DataError
from price_fusion.parameters import VariantParameters
from price_fusion.training.loader import partition_data as partition_data_module
from price_fusion.training.loader.partition_data import StreamedRows, partition_data
from price_fusion.training.loader.row_samples import drawn_rows
from price_fusion.training.loader.stream import PartitionFeed
from price_fusion.training.loader.train_feed import Shares, Stretch
from price_fusion.training.ranks import Ranks
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import Trainer, train_variant
from price_fusion.training.training_run import Trained
from support.partitioned import ROW_BYTES, SOURCES, Partitioned, partitioned_variant, write_partitioned

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def partitioned(tmp_path_factory: pytest.TempPathFactory) -> Partitioned:
    return write_partitioned(tmp_path_factory.mktemp("partitions"))


class Of(Ranks):
    """One of several ranks, for what needs no word from the others."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


def feed_of(partitioned: Partitioned, rows: int, ranks: Ranks | None = None) -> PartitionFeed:
    """A feed whose windows have so many rows at most, or are of one partition."""
    return PartitionFeed(*partitioned, SOURCES, CPU, window_bytes=rows * ROW_BYTES, ranks=ranks)


def batches(
    feed: PartitionFeed, shuffler: torch.Generator, done: int = 0, size: int = 64
) -> list[tuple[list[int], int]]:
    """Ids of this rank, and products of all, of each batch."""
    return [
        (stretch.ids[rows.numpy()].tolist(), products)
        for stretch in feed.epoch(shuffler, done)
        if stretch.ids is not None
        for rows, products in stretch.batches(size)
    ]


def all_of(batches: list[tuple[list[int], int]]) -> list[int]:
    return [one for ids, _ in batches for one in ids]


def train_ids(partitioned: Partitioned) -> list[int]:
    samples, tables = partitioned
    return sorted(drawn_rows(samples, tables, SOURCES, split="train", half=None, most=10**6, seed=0).ids.tolist())


@pytest.mark.parametrize("rows", [1, 500, 10_000])
def test_an_epoch_has_each_train_row_once_and_another_order_each_time(partitioned: Partitioned, rows: int) -> None:
    feed = feed_of(partitioned, rows)
    shuffler = torch.Generator().manual_seed(4)
    first, second = (all_of(batches(feed, shuffler)) for _ in range(2))
    assert sorted(first) == sorted(second) == train_ids(partitioned)
    assert first != second
    assert all_of(batches(feed, torch.Generator().manual_seed(4))) == first
    assert len(first) == feed.products


def test_rows_come_with_their_own_values(partitioned: Partitioned) -> None:
    samples, tables = partitioned
    rows = drawn_rows(samples, tables, SOURCES, split="train", half=None, most=10**6, seed=0)
    features, prices, ids = rows.features(), rows.prices, rows.ids
    place = {one: number for number, one in enumerate(ids.tolist())}
    for stretch in feed_of(partitioned, 500).epoch(torch.Generator()):
        assert stretch.ids is not None
        there = torch.tensor([place[one] for one in stretch.ids.tolist()])
        everything = torch.arange(len(there))
        assert torch.equal(stretch.prices, torch.from_numpy(prices)[there])
        for name, here in stretch.features.batch(everything).items():
            expected = features.batch(there)[name]
            known = expected.present
            assert torch.equal(here.present, known)
            assert torch.equal(here.vectors[known], expected.vectors[known])
            assert torch.equal(here.structural[known], expected.structural[known])
            assert here.vectors.isfinite().all()
    missing = int((~features.batch(torch.arange(len(ids)))["picture"].present).sum())
    assert 0 < missing < len(ids) / 5


def test_windows_hold_no_more_than_they_may(partitioned: Partitioned) -> None:
    sizes = [len(stretch.features) for stretch in feed_of(partitioned, 500).epoch(torch.Generator())]
    assert max(sizes) <= 500
    assert len(sizes) <= 5


@pytest.mark.parametrize("done", [64, 640, 1_000])
def test_what_was_trained_on_is_left_out(partitioned: Partitioned, done: int) -> None:
    feed = feed_of(partitioned, 500)
    whole = batches(feed, torch.Generator().manual_seed(1))
    before, count = 0, 0
    while before < done:
        before, count = before + whole[count][1], count + 1
    assert batches(feed, torch.Generator().manual_seed(1), before) == whole[count:]


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_divide_batches_and_agree_on_them(partitioned: Partitioned, size: int) -> None:
    by_rank = [
        batches(feed_of(partitioned, 300, Of(rank, size)), torch.Generator().manual_seed(2)) for rank in range(size)
    ]
    assert len({len(one) for one in by_rank}) == 1
    for parts in zip(*by_rank, strict=True):
        assert {products for _, products in parts} == {sum(len(ids) for ids, _ in parts)}
        assert sum(len(ids) for ids, _ in parts) < 64 + size
    assert sorted(one for rank in by_rank for ids, _ in rank for one in ids) == train_ids(partitioned)
    done = sum(products for _, products in by_rank[0][:7])
    left = batches(feed_of(partitioned, 300, Of(1, size)), torch.Generator().manual_seed(2), done)
    assert left == by_rank[1][7:]


def test_a_rank_without_rows_gives_none() -> None:
    cuts = list(Shares((100, 0), 1).cuts(64))
    assert [(place.stop - place.start, products) for place, products in cuts] == [(0, 64), (0, 36)]


def test_a_sample_is_bounded_seeded_and_of_its_role(partitioned: Partitioned) -> None:
    samples, tables = partitioned
    draw = {"split": "validation", "half": 1, "most": 100}
    rows = drawn_rows(samples, tables, SOURCES, **draw, seed=1)
    ids = rows.ids
    assert len(rows.features()) == len(rows.prices) == len(ids) == len(set(ids.tolist())) == 100
    assert np.array_equal(drawn_rows(samples, tables, SOURCES, **draw, seed=1).ids, ids)
    assert not np.array_equal(drawn_rows(samples, tables, SOURCES, **draw, seed=2).ids, ids)
    others = drawn_rows(samples, tables, SOURCES, split="validation", half=0, most=10**6, seed=1).ids
    assert not set(ids.tolist()) & set(others.tolist())
    everything = drawn_rows(
        samples, tables, {"words": SOURCES["words"]}, split="validation", half=None, most=10**6, seed=1
    )
    assert len(everything.ids) == sum(summary["splits"]["validation"] for summary in samples.summaries)
    assert len(drawn_rows(samples, tables, SOURCES, split="validation", half=None, most=0, seed=1).ids) == 0


def fit(partitioned: Partitioned, folder: Path, parameters: VariantParameters, rows: int = 500) -> Trained:
    data = partition_data(parameters, *partitioned, StreamedRows({}), seed=5, window_bytes=rows * ROW_BYTES)
    return train_variant("v", parameters, data, seed=5, run=RunFolder(folder), quiet=True)


def test_streamed_training_learns(partitioned: Partitioned, tmp_path: Path) -> None:
    samples, tables = partitioned
    trained = fit(partitioned, tmp_path, partitioned_variant(epochs=8))
    prices = drawn_rows(samples, tables, SOURCES, split="validation", half=0, most=10**6, seed=0).prices.astype(
        np.float64
    )
    constant = float(np.mean(200 * np.abs(prices - np.median(prices)) / (prices + np.median(prices))))
    assert trained.history[-1]["smape"] < 0.6 * constant


@pytest.mark.parametrize("steps", [3, 30, 41])
def test_a_run_cut_anywhere_ends_as_if_it_had_not_been(
    partitioned: Partitioned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    lively = {"ema_decay": 0.9, "source_dropout": 0.3}
    whole = fit(partitioned, tmp_path / "whole", partitioned_variant(**lively))
    after_step = Trainer._after_step

    def cut(self: Trainer, products: int) -> None:
        after_step(self, products)
        if self.loop.progress.step >= steps:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_after_step", cut)
        with pytest.raises(KeyboardInterrupt):
            fit(partitioned, tmp_path / "parts", partitioned_variant(state_every=0, **lively))
    resumed = fit(partitioned, tmp_path / "parts", partitioned_variant(resume=True, **lively))
    assert all(
        torch.equal(weight, whole.checkpoint.weights[name]) for name, weight in resumed.checkpoint.weights.items()
    )
    assert [record["loss"] for record in resumed.history] == [record["loss"] for record in whole.history]


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_run_goes_on_with_the_windows_that_it_began_with(
    partitioned: Partitioned,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    schedule: str,
) -> None:
    whole = fit(partitioned, tmp_path / "whole", partitioned_variant(schedule=schedule), rows=300)
    assert (
        fit(partitioned, tmp_path / "other", partitioned_variant(schedule=schedule), rows=900).history != whole.history
    )
    after_step = Trainer._after_step

    def cut(self: Trainer, products: int) -> None:
        after_step(self, products)
        if self.loop.progress.step >= 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_after_step", cut)
        with pytest.raises(KeyboardInterrupt):
            fit(partitioned, tmp_path / "parts", partitioned_variant(state_every=0, schedule=schedule), rows=300)
    with caplog.at_level(logging.WARNING, "price_fusion"):
        resumed = fit(partitioned, tmp_path / "parts", partitioned_variant(resume=True, schedule=schedule), rows=900)
    assert all(
        torch.equal(weight, whole.checkpoint.weights[name]) for name, weight in resumed.checkpoint.weights.items()
    )
    assert any("windows of 300 products" in words and "windows of 900" in words for words in caplog.messages)


def test_samples_in_memory_are_bounded(partitioned: Partitioned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_data_module, "FITTED_ROWS", 70)
    monkeypatch.setattr(partition_data_module, "WATCHED_ROWS", 30)
    data = partition_data(partitioned_variant(), *partitioned, StreamedRows({}), seed=5, window_bytes=10_000)
    assert (len(data.train), len(data.validation)) == (70, 30)
    assert data.features.structural(data.train)["words"].shape == (70, 3)
    assert data.features.batch(data.validation)["words"].vectors.shape == (30, 6)


def test_a_loss_that_is_no_number_names_the_products(partitioned: Partitioned, tmp_path: Path) -> None:
    data = partition_data(partitioned_variant(), *partitioned, StreamedRows({}), seed=5, window_bytes=500 * ROW_BYTES)
    trainer = Trainer("v", partitioned_variant(), data, seed=5, run=RunFolder(tmp_path), quiet=True)
    stretch: Stretch = next(iter(trainer.loop.feed.epoch(torch.Generator())))
    rows, _ = next(stretch.batches(64))
    assert stretch.ids is not None
    assert stretch.ids_of(rows) == stretch.ids[rows.numpy()].tolist()


def test_a_manifest_that_counts_otherwise_is_refused(partitioned: Partitioned) -> None:
    feed = feed_of(partitioned, 10_000)
    feed._counts[3] += 1
    with pytest.raises(DataError, match=r"partition 3 has \d+ train rows, its manifest says \d+"):
        list(feed.epoch(torch.Generator()))


def test_without_a_feed_data_train_on_their_features(partitioned: Partitioned) -> None:
    data = replace(
        partition_data(partitioned_variant(), *partitioned, StreamedRows({}), seed=5, window_bytes=10_000), feed=None
    )
    assert len(data.train) == feed_of(partitioned, 1).products


def test_a_final_fit_streams_all_rows_and_as_many_an_epoch_as_the_evaluated_training_had(
    partitioned: Partitioned,
) -> None:
    rows = StreamedRows({"samples": "digest"}, split=None, epoch_products=1_000)
    data = partition_data(partitioned_variant(), *partitioned, rows, seed=5, window_bytes=500 * ROW_BYTES)
    assert data.fingerprints == {"samples": "digest"}
    assert data.products == 1_000
    assert data.feed is not None
    assert data.feed.rows == partitioned[0].rows
    assert len(data.validation) == 0
    assert isinstance(data.feed, PartitionFeed)
    shuffler, seen = torch.Generator().manual_seed(1), set()
    for _ in range(12):
        ids = [one for batch, _ in batches(data.feed, shuffler) for one in batch]
        assert len(ids) == len(set(ids)) == 1_000
        seen |= set(ids)
    assert len(seen) > 0.95 * partitioned[0].rows
    shuffler.manual_seed(2)
    whole = batches(data.feed, shuffler)
    shuffler.manual_seed(2)
    done = sum(products for _, products in whole[:7])
    assert batches(data.feed, shuffler, done) == whole[7:]  # as after an interruption
