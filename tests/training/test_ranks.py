"""A process alone, and two that sum, compare and tell each other things."""

from __future__ import annotations

import multiprocessing
import socket
from typing import Any

import pytest
import torch

from price_fusion.training.ranks import Ranks, local_rank
from support.two_ranks import gradient_of, talk


def test_a_process_alone_is_all_there_are() -> None:
    alone, gradients, loss = Ranks(), torch.ones(3), torch.tensor(2.0)
    mean, *factors = alone.mean_(gradients, loss, 4)
    assert gradients.tolist() == [1, 1, 1]
    assert (mean, factors[0] * factors[1]) == (2, 8)
    assert alone.is_first
    assert alone.largest(3, False) == (3, False)
    assert alone.gathered("x") == ["x"]
    assert alone.from_first(lambda: 5) == 5
    assert local_rank() == 0


@pytest.fixture(scope="module")
def both() -> list[dict[str, Any]]:
    """What two processes found, by rank."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=talk, args=(rank, port, results)) for rank in range(2)]
    for process in processes:
        process.start()
    found = sorted((results.get(timeout=60) for _ in processes), key=lambda one: int(one["rank"]))
    for process in processes:
        process.join(10)
    return found


def test_two_processes_agree(both: list[dict[str, Any]]) -> None:
    for one in both:
        assert one["largest"] == (1, 5)
        assert one["gathered"] == ["of 0", "of 1"]
        assert one["from_first"] == {"made by": 0}
        assert one["error"] == "the first one failed"
    assert both[0]["weights"] == both[1]["weights"]


def test_steps_of_two_are_those_of_one_on_the_same_batches(both: list[dict[str, Any]]) -> None:
    alone = gradient_of([torch.arange(20), torch.arange(4)], Ranks())
    assert both[0]["gradient"] == pytest.approx(alone["gradient"], rel=1e-4, abs=1e-6)
    assert both[0]["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    assert both[0]["weights"] == pytest.approx(alone["weights"], rel=1e-4, abs=1e-6)
