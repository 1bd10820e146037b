"""What data there is, and how it is brought in and divided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    Tag,
    field_validator,
    model_serializer,
    model_validator,
)

from price_fusion.parameters.base import Fraction, Parameters

TEXT_COLUMN = "catalog_content"
"""What the text of a product is called inside, and in product files by default."""


class SourceParameters(Parameters):
    """One set of embeddings. Its files are named in the catalog: ``<source>.train_embeddings`` and ``.test_embeddings``."""

    kind: Literal["embeddings"] = "embeddings"
    width: PositiveInt
    """Columns of the stored matrix, structural ones included."""
    group: str
    """Sources of one group (``image``, ``text``) are fused with each other first."""
    structural_columns: Annotated[int, Field(ge=0)] = 0
    """How many of the last columns are plain numbers (quantity, unit) and not part of the embedding."""
    tuned_on_ids: bool = False
    """Whether ``<source>.tuned_on_ids`` lists products whose prices the encoder was tuned on; they go to train only."""

    @property
    def embedding_width(self) -> int:
        """Columns that are embedding: ``width`` without the structural ones."""
        return self.width - self.structural_columns

    @model_validator(mode="after")
    def _leave_an_embedding(self) -> SourceParameters:
        if self.structural_columns >= self.width:
            raise ValueError(f"structural_columns {self.structural_columns} leaves nothing of width {self.width}")
        return self


class ColumnSourceParameters(Parameters):
    """Columns of the product tables as a source: numbers and categories, or what a parser reads in the catalog text."""

    kind: Literal["columns"]
    group: str
    """As of embeddings."""
    parse: Literal["quantity"] | None = None
    """A parser of the product's text whose columns come first. ``quantity``: ``data/quantity/``."""
    numeric: tuple[str, ...] = ()
    """Columns of numbers; empty fields are missing values."""
    categorical: tuple[str, ...] = ()
    """Columns of categories. One that no train row has is treated as an empty field is: as unknown."""
    encoding: Literal["plain", "piecewise_linear", "periodic"] = "piecewise_linear"
    """What a model sees of a number beside its robustly scaled value: nothing, how far it is through each of ``bins``
    quantile bins, or sines and cosines of ``frequencies`` learned multiples."""
    bins: Annotated[int, Field(ge=2)] = 16
    frequencies: PositiveInt = 8
    vocabulary: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Categories of each categorical column. Filled in from the labelled products when the source is ingested."""
    parsed_columns: tuple[str, ...] = ()
    """Which of the columns the parser gives. Filled in when the source is ingested."""
    text_columns: tuple[str, ...] = (TEXT_COLUMN,)
    """Which of the product file's columns the text for the parser is made of. Filled in when the source is ingested."""
    text_template: str | None = None
    """How they are joined (``columns.template``). Filled in when the source is ingested."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what the text is made of where that is the default: releases before did not note it."""
        fields: dict[str, Any] = serialize(self)
        if self.text_columns == (TEXT_COLUMN,):
            del fields["text_columns"]
        if self.text_template is None:
            del fields["text_template"]
        return fields

    @property
    def product_columns(self) -> tuple[str, ...]:
        """Columns of product files that the source is made of."""
        return tuple(dict.fromkeys((*(self.text_columns if self.parse else ()), *self.own_columns)))

    @property
    def own_columns(self) -> tuple[str, ...]:
        """Columns of the product tables themselves, as far as ``parsed_columns`` tells them from a parser's."""
        return tuple(name for name in (*self.numeric, *self.categorical) if name not in self.parsed_columns)

    @property
    def width(self) -> int:
        """Columns of the stored matrix."""
        return len(self.numeric) + len(self.categorical)

    @property
    def embedding_width(self) -> int:
        """None of the columns is an embedding."""
        return 0

    @property
    def structural_columns(self) -> int:
        """Columns of the stored matrix: numbers, then codes of categories."""
        return self.width

    @property
    def tuned_on_ids(self) -> bool:
        """Columns are tuned on nothing."""
        return False

    @model_validator(mode="after")
    def _reads_something(self) -> ColumnSourceParameters:
        columns = [*self.numeric, *self.categorical]
        if not columns and self.parse is None:
            raise ValueError("names no columns: give numeric, categorical or parse")
        if len(set(columns)) < len(columns):
            raise ValueError(f"names a column twice: {', '.join(columns)}")
        return self


def _kind_of_source(value: object) -> str:
    kind = value.get("kind", "embeddings") if isinstance(value, Mapping) else getattr(value, "kind", "embeddings")
    return str(kind)


Source = Annotated[
    Annotated[SourceParameters, Tag("embeddings")] | Annotated[ColumnSourceParameters, Tag("columns")],
    Discriminator(_kind_of_source),
]
"""A source of any kind; embeddings where it does not say."""


class CheckParameters(Parameters):
    """What in the inputs counts as a likely mistake. Shares are of the products, or of a matrix's rows."""

    price_factor: Annotated[float, Field(gt=1.0)] = 100.0
    """A price is suspicious above this many times the 99.9 % quantile of the prices, and below the 0.1 % quantile divided
    by it."""
    norm_factor: Annotated[float, Field(gt=1.0)] = 10.0
    """A row of a matrix is suspicious if its Euclidean norm is above this many times the median, or below the median
    divided by it."""
    repeated_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01
    """An embedding, a text or an image link is suspicious if it is that of more than this share of the rows, ..."""
    repeated_least: Annotated[int, Field(ge=2)] = 10
    """... and of at least this many: a share of a small table is next to nothing."""
    missing_share: Fraction = 0.5
    """A source is suspicious if it lacks more than this share of the products."""


class IngestionParameters(Parameters):
    """How raw files become embedding tables and a sample table."""

    dtype: Literal["float16", "float32"] = "float16"
    """Type of the stored matrices. A source with values beyond float16 is kept in float32, with a warning."""
    policy: Literal["strict", "intersect", "keep"] = "keep"
    """``strict``: each product must be in each source; ``intersect``: keep the products that all sources know; ``keep``:
    a product may lack sources."""
    unknown_products: Literal["error", "drop"] = "error"
    """What to do, under ``keep``, with labelled products that no source knows."""
    rows_per_shard: PositiveInt = 1_000_000
    """Rows of one ``vectors-NNNNN.npy``."""
    checks: CheckParameters = CheckParameters()
    """What counts as a likely mistake in inputs that can be used."""
    on_suspicion: Literal["warn", "error"] = "warn"
    """Whether likely mistakes are logged and reported, or stop the run before anything is trained."""


class SplittingParameters(Parameters):
    """How labelled products are divided. Products that share an image or a text stay together."""

    proportions: str = "70/10/20"
    """train/validation/holdout, in any unit. ``80/20/0`` is the reference's split."""
    price_quantiles: Annotated[int, Field(ge=1)] = 10
    """Strata: each part gets its share of each price quantile."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Cross-validation folds, drawn over what is not holdout."""

    @property
    def fractions(self) -> tuple[float, float, float]:
        """The proportions as fractions that sum to 1."""
        train, validation, holdout = (float(part) for part in self.proportions.split("/"))
        total = train + validation + holdout
        return train / total, validation / total, holdout / total

    @field_validator("proportions")
    @classmethod
    def _three_parts(cls, value: str) -> str:
        try:
            parts = [float(part) for part in value.split("/")]
        except ValueError:
            parts = []
        if len(parts) != 3 or not all(0 <= part < float("inf") for part in parts) or not (parts[0] and parts[1]):
            raise ValueError(
                f"{value!r} is not train/validation/holdout such as 70/10/20, with train and validation > 0"
            )
        return value


FabricationKind = Literal["reference", "shop"]


class FabricationParameters(Parameters):
    """The made-up sample that ``fabricate`` writes."""

    kind: FabricationKind = "reference"
    """``reference``: files like the reference's; ``shop``: one CSV with columns of its own, and one matrix, in ``shop/``."""
    labelled: Annotated[int, Field(ge=100)] = 3_000
    """Products in train.csv."""
    unlabelled: Annotated[int, Field(ge=10)] = 1_000
    """Products in test.csv."""
    without_image: Fraction = 0.02
    """Share of the products that are in no image source."""
    shared_image: Fraction = 0.04
    """Share of the products that show another product's image."""
