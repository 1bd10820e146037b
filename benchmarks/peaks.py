"""What the hardware can do: matrix products in float32 and bf16, copying, and the fused AdamW step.

    python benchmarks/peaks.py

The other benchmarks measure the same peaks in their own process, to say what the arithmetic would allow there and then.
"""

from __future__ import annotations

import price_fusion  # noqa: F401  # isort: skip - before torch: it sets how torch's threads wait

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from common import Column, ResultTable, Section, parse_arguments, start
from timing import best_seconds

LAYER_SHAPES = (
    (256, 768, 512),
    (256, 1152, 512),
    (256, 1024, 512),
    (512, 512, 1536),
    (1024, 512, 1536),
    (256, 2048, 1024),
)
"""(rows, inputs, outputs) of layers at batch 256: projections, attention over 2 and over 4 tokens, the widest expert."""
LARGE_SHAPES = ((2048, 2048, 2048), (4096, 2048, 2048))
GPU_SHAPES = ((8192, 8192, 8192), (16_384, 8192, 8192))
"""Large enough that launching them does not count."""
CPU = torch.device("cpu")
TENSOR_PARAMETERS = {"moe": 7_700_000, "hierarchical": 13_500_000}
COPIED_FLOATS = 64 * 2**20
"""256 MiB each way, on a GPU four times that: beyond every cache."""
ADAMW_BYTES = 28
"""Bytes a parameter and step: weight, gradient and two moments are read, all but the gradient written; 4 bytes each."""


@dataclass(frozen=True)
class Peaks:
    """Measured peaks of this process's threads."""

    float32: float
    """FLOP/s of matrix products."""
    bf16: float
    """FLOP/s of matrix products."""
    copy: float
    """Bytes a second, read and written ones together."""

    def of(self, precision: str) -> float:
        """FLOP/s in a precision, ``float32`` or ``bf16``, which hardware without it may multiply as float32."""
        return max(self.bf16, self.float32) if precision == "bf16" else self.float32

    def training_rate(self, parameters: int, batch: int, precision: str, flop_per_row: float | None = None) -> float:
        """Rows a second that the peaks allow: 6 P floating-point operations a row, and 28 P bytes a step."""
        flop = batch * (flop_per_row if flop_per_row is not None else 6 * parameters)
        return batch / (flop / self.of(precision) + ADAMW_BYTES * parameters / self.copy)

    def scoring_rate(self, parameters: int, precision: str) -> float:
        """Rows a second that the peaks allow: 2 P floating-point operations a row."""
        return self.of(precision) / (2 * parameters)


def measure_peaks(seconds: float, *, small: bool = False, device: torch.device = CPU) -> Peaks:
    """Best rates over all shapes.

    Args:
        seconds: of measuring, per shape and precision.
        small: use tiny shapes, for smoke tests.
        device: whose.
    """
    shapes = LAYER_SHAPES[:1] if small else GPU_SHAPES if device.type == "cuda" else (*LAYER_SHAPES, *LARGE_SHAPES)
    floats = COPIED_FLOATS // 64 if small else COPIED_FLOATS * (4 if device.type == "cuda" else 1)
    return Peaks(
        float32=max(product_rate(shape, torch.float32, seconds, device) for shape in shapes),
        bf16=max(product_rate(shape, torch.bfloat16, seconds, device) for shape in shapes),
        copy=copy_rate(floats, seconds, device),
    )


@torch.inference_mode()
def product_rate(shape: Sequence[int], dtype: torch.dtype, seconds: float, device: torch.device = CPU) -> float:
    """FLOP/s of a linear layer without bias."""
    rows, inputs, outputs = shape
    values = torch.randn(rows, inputs, dtype=dtype, device=device)
    weights = torch.randn(outputs, inputs, dtype=dtype, device=device)

    def multiply() -> None:
        F.linear(values, weights)
        wait_for(device)

    return 2 * rows * inputs * outputs / best_seconds(multiply, seconds)


def copy_rate(floats: int, seconds: float, device: torch.device = CPU) -> float:
    """Bytes a second, read and written ones together."""
    source, target = torch.ones(floats, device=device), torch.zeros(floats, device=device)

    def copy() -> None:
        target.copy_(source)
        wait_for(device)

    return 2 * 4 * floats / best_seconds(copy, seconds)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def adamw_rate(parameters: int, seconds: float) -> float:
    """Bytes a second of the fused AdamW over one flat buffer, at 28 bytes a parameter."""
    weights = torch.nn.Parameter(torch.randn(parameters))
    weights.grad = torch.randn(parameters)
    optimizer = torch.optim.AdamW([weights], fused=True)
    return ADAMW_BYTES * parameters / best_seconds(optimizer.step, seconds)


def products_table(shapes: Sequence[tuple[int, int, int]], seconds: float) -> ResultTable:
    """Rates of all shapes in both precisions."""
    rows = []
    for shape in shapes:
        single = product_rate(shape, torch.float32, seconds) / 1e9
        half = product_rate(shape, torch.bfloat16, seconds) / 1e9
        label = " x ".join(map(str, shape))
        rows.append({"shape": label, "float32": single, "bf16": half, "ratio": half / single})
    columns = (
        Column("shape", "rows x inputs x outputs"),
        Column("float32", "float32, GFLOP/s", ",.0f"),
        Column("bf16", "bf16, GFLOP/s", ",.0f"),
        Column("ratio", "bf16 / float32", ".1f"),
    )
    return ResultTable("Matrix products", columns, rows, ["best of many calls on warm data"])


def memory_table(floats: int, parameters: dict[str, int], seconds: float) -> ResultTable:
    """Rates of copying and of the fused AdamW."""
    rows = [{"what": f"copy of {4 * floats / 2**20:,.0f} MiB", "rate": copy_rate(floats, seconds) / 1e9}]
    for name, count in parameters.items():
        rate = adamw_rate(count, seconds)
        milliseconds = 1e3 * ADAMW_BYTES * count / rate
        what = f"fused AdamW, {count / 1e6:.1f} M parameters ({name})"
        rows.append({"what": what, "rate": rate / 1e9, "milliseconds": milliseconds})
    columns = (
        Column("what", "what"),
        Column("rate", "GB/s, read and written", ".1f"),
        Column("milliseconds", "ms a step", ".2f"),
    )
    return ResultTable("Memory", columns, rows, ["AdamW moves 28 bytes a parameter and step"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring, per shape and precision")
    options = parse_arguments(parser, {"seconds": 0.05})
    start("peaks")
    section = Section("peaks", "Peaks of the machine", "random tensors")
    shapes: Sequence[tuple[int, int, int]]
    if options.smoke:
        shapes, floats, parameters = LAYER_SHAPES[:2], COPIED_FLOATS // 64, {"small": 100_000}
    else:
        shapes, floats, parameters = (*LAYER_SHAPES, *LARGE_SHAPES), COPIED_FLOATS, TENSOR_PARAMETERS
    products = products_table(shapes, options.seconds)
    memory = memory_table(floats, parameters, options.seconds)
    section.tables += [products, memory]
    section.values = {
        "float32_gflops": max(row["float32"] for row in products.rows),
        "bf16_gflops": max(row["bf16"] for row in products.rows),
        "copy_gb_per_s": memory.rows[0]["rate"],
    }
    section.finish(options)


if __name__ == "__main__":
    main()
