"""How many threads of linear algebra a fit takes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from threadpoolctl import threadpool_limits

ONE_THREAD_FLOP = 2e11
"""Floating-point operations, a few seconds of one core, up to which a fit takes one thread: threads of BLAS wait for each
other by spinning, which beside other processes takes many times what they save (docs/decisions/0004-waiting-threads.md)."""


def threads_for(flop: float) -> AbstractContextManager[object]:
    """One thread of BLAS for a small fit, as many as there are for a large one."""
    return threadpool_limits(1, user_api="blas") if flop < ONE_THREAD_FLOP else nullcontext()
