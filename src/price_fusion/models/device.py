"""Where and in which precision to compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch

from price_fusion.errors import ParameterError


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to use; ``auto`` takes a CUDA device where there is one.

    Raises:
        ParameterError: if CUDA is wanted and absent.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ParameterError(
            "train.device is 'cuda', but torch finds no CUDA device here. Set it to 'auto' or 'cpu', or install a torch "
            "build with CUDA and check that the driver is up."
        )
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def fits(needed: int, device: torch.device, limit_gb: float | None) -> bool:
    """Whether so many bytes of features can be kept on a device.

    Args:
        needed: bytes.
        device: where.
        limit_gb: what they may take at most, in 1e9 bytes; None: 70 % of what is free. Features on the CPU are mapped
            from files and need no memory of their own: without a limit they always fit.
    """
    if limit_gb is not None:
        return needed <= limit_gb * 1e9
    if device.type == "cuda":
        return needed <= 0.7 * torch.cuda.mem_get_info(device)[0]
    return True


def window_bytes(device: torch.device, limit_gb: float | None) -> int:
    """Bytes that a window of features may take on a device where all of them do not fit."""
    if limit_gb is not None:
        return int(limit_gb * 1e9)
    return int(0.35 * torch.cuda.mem_get_info(device)[0])


def uses_bf16(wanted: Literal["auto", "bf16", "float32"], device: torch.device) -> bool:
    """Whether matrix products run in bf16; ``auto`` says yes where the hardware multiplies it."""
    if wanted != "auto":
        return wanted == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """Context in which matrix products run in bf16, if they shall."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if bf16 else nullcontext()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: no waking of threads, no waiting for them, and the same bits on any machine.

    How a matrix product is divided among threads shows in its last bits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
