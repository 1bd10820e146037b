"""The same training, whether features are held whole or read window by window."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.models.features import Features, Shards, SourceFeatures
from price_fusion.training.loader.feed import BLOCK_PRODUCTS, Feed

CPU = torch.device("cpu")


def make_features(products: int, seed: int = 0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(products, generator=generator)
    some = torch.where(torch.rand(products, generator=generator) < 0.2, -1, torch.arange(products))
    return Features(
        {
            "wide": SourceFeatures(torch.randn(products, 6, generator=generator), torch.empty(products, 0), rows),
            "narrow": SourceFeatures(
                torch.randn(products, 3, generator=generator), torch.rand(products, 2, generator=generator), some
            ),
        }
    )


@given(st.integers(1, 5000), st.one_of(st.none(), st.integers(1, 6000)), st.integers(0, 3))
def test_an_epoch_has_each_train_product_once_with_its_own_values(products: int, window: int | None, seed: int) -> None:
    features = make_features(products)
    prices = torch.arange(products, dtype=torch.float32)
    train = torch.randperm(products)[: max(1, products // 2)].sort().values
    feed = Feed(features, prices, train, CPU, window)
    seen = []
    for stretch in feed.epoch(torch.Generator().manual_seed(seed)):
        products_seen = stretch.prices[stretch.order].long()
        seen.append(products_seen)
        here, there = stretch.features.batch(stretch.order), features.batch(products_seen)
        for name in features.sources:
            present = there[name].present
            assert torch.equal(here[name].present, present)
            assert torch.equal(here[name].vectors[present], there[name].vectors[present])
            assert torch.equal(here[name].structural[present], there[name].structural[present])
    assert torch.equal(torch.cat(seen).sort().values, train)


@given(st.integers(2, 5000), st.one_of(st.none(), st.integers(1, 6000)), st.data())
def test_an_epoch_may_take_some_of_the_train_products(products: int, window: int | None, data: st.DataObject) -> None:
    taken = data.draw(st.integers(1, products - 1))
    done = data.draw(st.integers(0, taken - 1))
    feed = Feed(make_features(products), torch.arange(float(products)), torch.arange(products), CPU, window, taken)
    whole, rest = (
        torch.cat([one.prices[one.order] for one in feed.epoch(torch.Generator().manual_seed(1), start)])
        for start in (0, done)
    )
    assert feed.products == len(whole) == len(whole.unique()) == taken
    assert torch.equal(rest, whole[done:])


def test_a_window_never_holds_more_than_it_may() -> None:
    features = make_features(10_000)
    feed = Feed(features, torch.zeros(10_000), torch.arange(10_000), CPU, 2_500)
    sizes = [len(stretch.features) for stretch in feed.epoch(torch.Generator())]
    assert max(sizes) <= 2_500
    assert len(sizes) == -(-10_000 // (2 * BLOCK_PRODUCTS))
    assert abs(feed.steps(256) - sum(-(-size // 256) for size in sizes)) <= 1


def test_windows_are_shuffled_from_epoch_to_epoch() -> None:
    feed = Feed(make_features(5_000), torch.arange(5_000.0), torch.arange(5_000), CPU, 2_048)
    shuffler = torch.Generator().manual_seed(0)
    first, second = (torch.cat([s.prices[s.order] for s in feed.epoch(shuffler)]) for _ in range(2))
    assert not torch.equal(first, second)
    assert set(first[:2_048].tolist()) != set(second[:2_048].tolist())


def test_blocks_are_neighbours_in_the_widest_source() -> None:
    features = make_features(4_096)
    feed = Feed(features, torch.arange(4_096.0), torch.arange(4_096), CPU, BLOCK_PRODUCTS)
    for stretch in feed.epoch(torch.Generator().manual_seed(0)):
        places = features.sources["wide"].rows[stretch.prices.long()].sort().values
        assert torch.equal(places, torch.arange(int(places[0]), int(places[0]) + BLOCK_PRODUCTS))


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.data())
def test_shards_are_indexed_like_the_whole(sizes: list[int], data: st.DataObject) -> None:
    whole = torch.arange(sum(sizes) * 3).view(-1, 3)
    index = torch.tensor(data.draw(st.lists(st.integers(0, sum(sizes) - 1), max_size=20)), dtype=torch.int64)
    shards = Shards(torch.split(whole, sizes))
    assert torch.equal(shards[index], whole[index])
    assert shards.shape == whole.shape
