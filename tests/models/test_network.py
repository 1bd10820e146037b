"""The network of a checkpoint: what it says of itself, and log prices within the bounds of a price."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from price_fusion.errors import CheckpointError
from price_fusion.models import network as network_module
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.features import Features, features_from_arrays
from price_fusion.models.network import FEW_PRODUCTS, Network
from price_fusion.models.scoring import score

MakeCheckpoint = Callable[..., Checkpoint]


def features(network: Network, rows: int = 12) -> Features:
    generator = np.random.default_rng(3)
    arrays = {name: np.abs(generator.normal(size=(rows, source.width))) for name, source in network.sources.items()}
    return features_from_arrays(arrays, network.sources, network.dtypes)


def test_says_what_its_header_says(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint()
    network = Network(checkpoint)
    assert (network.name, network.median_price, network.calibration) == ("tiny", 14.25, None)
    assert network.sources == checkpoint.header.sources
    assert network.dtypes == {"picture": "float16", "words": "float16"}


def test_other_sources_are_not_looked_at(make_checkpoint: MakeCheckpoint) -> None:
    network = Network(make_checkpoint())
    own = features(network)
    more = Features({"sound": own.sources["picture"], **dict(reversed(own.sources.items()))})
    np.testing.assert_array_equal(network.log_prices(more), network.log_prices(own))
    assert network.log_prices(own).dtype == np.float64
    assert network.log_prices(own).std() > 0.01


@pytest.mark.parametrize("start", [-90.0, 90.0])
def test_log_prices_are_those_of_prices(
    make_checkpoint: MakeCheckpoint, start: float, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = make_checkpoint("concat")
    checkpoint.weights["head.output.bias"].fill_(start)
    network = Network(checkpoint)
    scale = network.price_scale
    bound = scale.lowest_log if start < 0 else scale.highest_log
    np.testing.assert_array_equal(network.log_prices(features(network)), bound)
    assert "tiny: 12 of 12 predicted prices were beyond the range" in caplog.text


def test_gate_weights_sum_to_one_and_are_none_without_a_gate(make_checkpoint: MakeCheckpoint) -> None:
    mixture, plain = Network(make_checkpoint("mixture")), Network(make_checkpoint("concat"))
    np.testing.assert_allclose(mixture.gate_weights(features(mixture)).sum(axis=1), 1, rtol=1e-5)
    assert plain.gate_weights(features(plain)).shape == (12, 0)


def test_weights_that_do_not_fit_are_refused_by_name(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint()
    checkpoint.weights["more"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="checkpoint of 'tiny': weights do not fit its header"):
        Network(checkpoint)


@pytest.mark.parametrize(("rows", "threads"), [(1, 1), (FEW_PRODUCTS, 1), (FEW_PRODUCTS + 1, 2)])
def test_few_products_are_scored_on_one_thread_which_is_then_given_back(
    make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch, rows: int, threads: int
) -> None:
    seen = []

    def noted(*arguments: Any, **options: Any) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return score(*arguments, **options)

    monkeypatch.setattr(network_module, "score", noted)
    network = Network(make_checkpoint())
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        network.log_prices(features(network, rows))
        assert (seen, torch.get_num_threads()) == ([threads], 2)
    finally:
        torch.set_num_threads(before)
