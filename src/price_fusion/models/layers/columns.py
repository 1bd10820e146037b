"""The branch of a column source: from numbers and categories to a token of common width."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from price_fusion.models.layers.branches import SourceBatch
from price_fusion.models.layers.scaling import RobustScale
from price_fusion.parameters import BranchParameters, ColumnSourceParameters


class PiecewiseLinear(nn.Module):
    """How far each number is through each of its quantile bins: (B, K) to (B, K * bins).

    Below a bin 0, above it 1, inside it linear, as in Gorishniy et al. 2022, "On Embeddings for Numerical Features in
    Tabular Deep Learning", section 3.2. Missing numbers (NaN) give zeros.

    Args:
        columns: K.
        bins: of each column.

    Examples:
        >>> encoding = PiecewiseLinear(1, 2)
        >>> encoding.fit(torch.tensor([[0.0], [1.0], [3.0]]))
        >>> encoding(torch.tensor([[2.0], [float("nan")]]))
        tensor([[1.0000, 0.5000],
                [0.0000, 0.0000]])
    """

    def __init__(self, columns: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.features = columns * bins
        self.register_buffer("starts", torch.zeros(columns, bins))
        self.register_buffer("widths", torch.full((columns, bins), math.inf))
        self.starts: Tensor
        self.widths: Tensor

    def fit(self, values: Tensor) -> None:
        """Take the bins from the quantiles of train rows, (N, K). A bin without width says nothing and stays 0."""
        for column, numbers in enumerate(values.double().T):
            known = numbers[~numbers.isnan()]
            if not len(known):
                continue
            edges = torch.quantile(known, torch.linspace(0, 1, self.bins + 1, dtype=torch.float64))
            widths = edges.diff()
            self.starts[column] = edges[:-1]
            self.widths[column] = torch.where(widths > 0, widths, math.inf)

    def forward(self, numbers: Tensor) -> Tensor:
        """Encoded numbers, (B, K * bins)."""
        done = ((numbers.unsqueeze(2) - self.starts) / self.widths).clamp(0, 1)
        return done.nan_to_num(0.0).flatten(1)


class Periodic(nn.Module):
    """Sines and cosines of learned multiples of each scaled number: (B, K) to (B, K * 2 * frequencies).

    As in Gorishniy et al. 2022, section 3.3. Missing numbers (NaN) give zeros.

    Args:
        columns: K.
        frequencies: of each column.
    """

    SPREAD = 0.3
    """Standard deviation of the multiples at the start: the smooth end of what the paper tries."""

    def __init__(self, columns: int, frequencies: int) -> None:
        super().__init__()
        self.features = columns * 2 * frequencies
        self.frequencies = nn.Parameter(torch.randn(columns, frequencies) * self.SPREAD)

    def forward(self, scaled: Tensor) -> Tensor:
        """Encoded numbers, (B, K * 2 * frequencies)."""
        known = ~scaled.isnan()
        angles = 2 * math.pi * self.frequencies * scaled.nan_to_num(0.0).unsqueeze(2)
        waves = torch.cat([angles.sin(), angles.cos()], dim=2)
        return (waves * known.unsqueeze(2)).flatten(1)


class ColumnBranch(nn.Module):
    """Scale and encode numbers, look up categories, project both; a learned vector stands in for absent products.

    Numbers are scaled robustly and squashed as structural columns are. Beside them go the encoding that the source
    declares and a flag for each number that is missing. Each category has a vector of its own; those that no train row
    has share that of the empty field.

    Shapes: ``SourceBatch`` with K numbers and C codes in ``structural``, (B, K + C), to (B, W).
    """

    def __init__(self, source: ColumnSourceParameters, parameters: BranchParameters) -> None:
        super().__init__()
        self.numbers = len(source.numeric)
        sizes = [1 + len(source.vocabulary[name]) for name in source.categorical]
        self.scale = RobustScale(self.numbers)
        self.bins = PiecewiseLinear(self.numbers, source.bins) if source.encoding == "piecewise_linear" else None
        # Without numbers, nothing would ever use the frequencies that it learns.
        periodic = source.encoding == "periodic" and self.numbers > 0
        self.waves = Periodic(self.numbers, source.frequencies) if periodic else None
        features = 2 * self.numbers + sum(encoding.features for encoding in (self.bins, self.waves) if encoding)
        self.projection = nn.Linear(features, parameters.width) if features else None
        self.categories = nn.ModuleList(nn.Embedding(size, parameters.width) for size in sizes)
        for embedding in self.categories:
            assert isinstance(embedding, nn.Embedding)  # noqa: S101 - for the type checker: ModuleList forgets what it holds
            nn.init.normal_(embedding.weight, std=1 / math.sqrt(max(features, 1)))
            nn.init.zeros_(embedding.weight[0].detach())  # says nothing, until a train row with an empty field is seen
        self.norm = nn.LayerNorm(parameters.width) if parameters.layer_norm else nn.Identity()
        self.missing = nn.Parameter(torch.zeros(parameters.width))
        self.register_buffer("seen", torch.zeros(sum(sizes), dtype=torch.bool))
        self.register_buffer("offsets", torch.tensor([0, *sizes[:-1]], dtype=torch.int64).cumsum(0)[: len(sizes)])
        self.seen: Tensor
        self.offsets: Tensor

    def fit_structural(self, values: Tensor) -> None:
        """Take scales, bins and known categories from train rows, (N, K + C)."""
        numbers, codes = values[:, : self.numbers], values[:, self.numbers :].long()
        self.scale.fit(numbers)
        if self.bins is not None:
            self.bins.fit(numbers)
        self.seen[(codes + self.offsets).flatten()] = True

    def forward(self, batch: SourceBatch) -> Tensor:
        """Tokens of a batch, (B, W)."""
        numbers, codes = batch.structural[:, : self.numbers].float(), batch.structural[:, self.numbers :].long()
        squashed = self.scale(numbers)
        parts = [squashed.nan_to_num(0.0), numbers.isnan().float()]
        if self.bins is not None:
            parts.append(self.bins(numbers))
        if self.waves is not None:
            parts.append(self.waves(squashed))
        token = self.missing.new_zeros(codes.shape[0], self.missing.shape[0])
        if self.projection is not None:
            token = self.projection(torch.cat(parts, dim=1))
        codes = torch.where(self.seen[codes + self.offsets], codes, 0)
        for embedding, code in zip(self.categories, codes.unbind(dim=1), strict=True):
            token = token + embedding(code).to(token.dtype)
        token = self.norm(token)
        return torch.where(batch.present[:, None], token, self.missing.to(token.dtype))
