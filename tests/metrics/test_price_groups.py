from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.metrics.price_groups import STEPS, PriceGroups, rounded_edge
from price_fusion.parameters import PriceGroupParameters

AUTO = PriceGroupParameters()
prices = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("price", "edge"), [(1.0, 1.0), (7.3, 8.0), (13.8, 15.0), (9.9, 10.0), (0.31, 0.3), (2345.0, 2500.0), (0.099, 0.1)]
)
def test_edges_are_figures_that_a_person_would_choose(price: float, edge: float) -> None:
    assert rounded_edge(price) == edge


@given(st.floats(1e-9, 1e12))
def test_an_edge_is_the_nearest_of_its_kind(price: float) -> None:
    edge = rounded_edge(price)
    mantissa = float(f"{edge:e}".partition("e")[0])
    assert mantissa in STEPS
    assert max(edge / price, price / edge) <= (3 / 2) ** 0.5 + 1e-9


def test_groups_follow_from_the_train_prices() -> None:
    train = np.exp(np.random.default_rng(0).normal(6.0, 1.0, size=5_000))
    groups = PriceGroups.of_prices(train, "EUR", AUTO)
    assert groups.edges == (100, 200, 250, 300, 400, 500, 600, 1_000, 1_500, 2_000, 4_000)
    assert groups.ranges == {"very low": 0, "low": 100, "medium": 300, "high": 800, "very high": 2_000}
    assert groups.labels[0] == "0 to 100"
    assert groups.labels[-1] == "4,000 and above"


@given(prices)
def test_any_prices_have_groups(train: list[float]) -> None:
    groups = PriceGroups.of_prices(train, "EUR", AUTO)
    assert list(groups.edges) == sorted(set(groups.edges))
    assert len(groups.labels) == len(groups.edges) + 1
    assert list(groups.ranges.values()) == sorted(set(groups.ranges.values()))
    places = groups.bins_of(train)
    lows = np.array([0.0, *groups.edges])
    assert (lows[places] <= train).all()


def test_configured_groups_are_taken_as_they_are() -> None:
    chosen = PriceGroupParameters(bins=(10, 20), ranges={"cheap": 0, "expensive": 15})
    groups = PriceGroups.of_prices([1.0, 100.0], "EUR", chosen)
    assert groups.labels == ("0 to 10", "10 to 20", "20 and above")
    assert groups.ranges_of([14.99, 15.0]).tolist() == [0, 1]


@pytest.mark.parametrize(
    "wrong", [{"bins": (20, 10)}, {"bins": (5, 5)}, {"ranges": {"a": 1}}, {"ranges": {"a": 0, "b": 0}}]
)
def test_groups_that_are_not_ascending_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        PriceGroupParameters.model_validate(wrong)
