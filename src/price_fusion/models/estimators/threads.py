"""How many threads of linear algebra a fit takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from price_fusion.models.device import one_thread

ONE_THREAD_FLOP = 2e11
"""Floating-point operations, a few seconds of one core, up to which a fit takes one thread: threads wait for each
other by spinning, which beside other processes takes many times what they save (docs/decisions/0004-waiting-threads.md)."""


@contextmanager
def threads_for(flop: float) -> Iterator[None]:
    """One thread of BLAS and of torch for a small fit, as many as there are for a large one."""
    if flop >= ONE_THREAD_FLOP:
        yield
        return
    with threadpool_limits(1, user_api="blas"), one_thread():
        yield
