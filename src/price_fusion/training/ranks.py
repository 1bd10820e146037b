"""The processes that train one model together, and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from price_fusion.errors import PriceFusionError

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")


class Ranks:
    """A process that trains alone: whatever all are asked for is its own.

    Attributes:
        rank: number of this process.
        size: number of processes.
    """

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def mean_(self, gradients: Tensor, loss: Tensor, products: int) -> tuple[Tensor, Tensor, int]:
        """Make a gradient that of a whole batch, of which each process has some products; the same bits in each of them.

        Args:
            gradients: (P,) of the mean loss over the products of this process, changed in place; anything if it has none.
            loss: that mean, a scalar.
            products: how many this process has.

        Returns:
            the mean loss over the batch, and two factors whose product is its sum: so that it is rounded only once when
            it is added to others.
        """
        return loss, loss, products

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """The largest of each number over all processes."""
        return numbers

    def gathered(self, item: Item) -> list[Item]:
        """What each process has, by rank."""
        return [item]

    def from_first(self, make: Callable[[], Item]) -> Item:
        """What the first process makes; the others wait for it, and raise what it raises."""
        return make()


class DistributedRanks(Ranks):
    """The processes of torch's default group, which must have been made before."""

    def __init__(self) -> None:
        import torch.distributed as group

        self._group = group
        self.rank = group.get_rank()
        self.size = group.get_world_size()

    def mean_(self, gradients: Tensor, loss: Tensor, products: int) -> tuple[Tensor, Tensor, int]:
        """As in ``Ranks``."""
        import torch

        if products:
            gradients.mul_(products)
        else:
            gradients.zero_()
        sums = torch.stack([loss * products, torch.full_like(loss, products)])
        self._group.all_reduce(gradients)
        self._group.all_reduce(sums)
        total, count = sums
        gradients.div_(count)
        return total / count, total, 1

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """As in ``Ranks``; never waits for a GPU."""
        import torch

        tensor = torch.tensor(numbers)
        self._group.all_reduce(tensor, op=self._group.ReduceOp.MAX)
        return tuple(tensor.tolist())

    def gathered(self, item: Item) -> list[Item]:
        """As in ``Ranks``."""
        items: list[Any] = [None] * self.size
        self._group.all_gather_object(items, item)
        return items

    def from_first(self, make: Callable[[], Item]) -> Item:
        """As in ``Ranks``."""
        box: list[Any] = [None]
        if self.is_first:
            try:
                box = [(make(), None)]
            except PriceFusionError as error:
                box = [(None, error)]
        self._group.broadcast_object_list(box, src=0)
        made, problem = box[0]
        if problem is not None:
            raise problem
        result: Item = made
        return result


@contextmanager
def joined() -> Iterator[Ranks]:
    """The group that the environment of a launcher describes, entered if the launcher has not done so itself."""
    import torch
    import torch.distributed as group

    if group.is_initialized():
        yield DistributedRanks()
        return
    store, rank, size = next(group.rendezvous("env://"))  # type: ignore[attr-defined]
    # Started again, processes find the store of the ones before them, with their addresses.
    store = group.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)  # type: ignore[attr-defined]
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    group.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield DistributedRanks()
    finally:
        group.destroy_process_group()


def local_rank() -> int:
    """Number of this process among those of its machine: which GPU is its own."""
    return int(os.environ.get("LOCAL_RANK", "0"))
