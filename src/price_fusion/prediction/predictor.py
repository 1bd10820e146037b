"""Prices from a checkpoint or an ensemble, with no configuration at hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.data.checks.values import unusable_rows
from price_fusion.data.columns import column_matrix
from price_fusion.data.readers.column_names import TEXT
from price_fusion.data.table import TableView
from price_fusion.errors import CheckpointError, DataError, ParameterError
from price_fusion.evaluation.amount_effect import TWICE, twice_the_amount
from price_fusion.metrics.intervals import interval_columns, marginal_interval, price_intervals
from price_fusion.models.checkpoint import Checkpoint, load_checkpoint
from price_fusion.models.features import Features, features_from_arrays, features_from_tables
from price_fusion.models.folds import MANIFEST
from price_fusion.models.network import Network
from price_fusion.models.unit_prices import with_unit_prices
from price_fusion.parameters import ColumnSourceParameters
from price_fusion.prediction.given_vectors import vectors_of
from price_fusion.prediction.stale_final_fits import warn_if_stale

if TYPE_CHECKING:
    from price_fusion.prediction.ensemble import Ensemble

logger = logging.getLogger(__name__)

Precision = Literal["float32", "bf16", "auto"]


class Predictor:
    """A trained model. Each product's price depends on that product alone, in any batch.

    Examples:
        >>> predictor = Predictor.load("data/06_models/moe/checkpoint.safetensors")  # doctest: +SKIP
        >>> predictor.widths  # doctest: +SKIP
        {'clip_image': 768, 'qwen_text': 1027}
        >>> predictor.predict({"clip_image": images, "qwen_text": texts}, products)  # doctest: +SKIP
        array([12.81, 4.07])
    """

    def __init__(self, model: Checkpoint | Ensemble, precision: Precision = "float32") -> None:
        self.model: Network | Ensemble = Network(model, precision) if isinstance(model, Checkpoint) else model
        self._warned_of_no_products = False

    @classmethod
    def load(cls, path: str | Path, precision: Precision = "float32") -> Predictor:
        """Read a checkpoint file, or the folder of an ensemble. A final fit that is stale is warned of.

        Args:
            path: the file or folder.
            precision: of matrix products. In bf16 prices differ by up to 2.4 % (0.6 % at the median) from those in float32.

        Raises:
            CheckpointError: if it is missing, damaged, of another version, or a folder with a checkpoint.
        """
        path = Path(path)
        if path.is_dir():
            _refuse_folder_of_checkpoint(path)
            from price_fusion.prediction.ensemble import load_ensemble

            ensemble = load_ensemble(path, precision)
            warn_if_stale(path, ensemble)
            return cls(ensemble)
        checkpoint = load_checkpoint(path)
        warn_if_stale(path, checkpoint)
        try:
            return cls(checkpoint, precision)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error

    @property
    def widths(self) -> dict[str, int]:
        """Columns that ``predict`` wants for each source of embeddings, structural ones included."""
        return {name: source.width for name, source in self.model.sources.items() if source.kind == "embeddings"}

    @property
    def currency(self) -> str:
        """Of the prices."""
        return self.model.currency

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Columns of product files that ``predict`` wants in ``products``, for each column source."""
        return {
            name: source.product_columns
            for name, source in self.model.sources.items()
            if isinstance(source, ColumnSourceParameters)
        }

    def predict(
        self, arrays: Mapping[str, Any], products: pd.DataFrame | Mapping[str, Sequence[Any]] | None = None
    ) -> NDArray[np.float64]:
        """Prices of N products in currency units, (N,), finite and positive.

        Args:
            arrays: (N, width) per source, as stored: not normalised, structural columns last; arrays, tensors, frames, or lists
                in which None is a missing vector. A source left out, or None, is missing for all of them. Without ``products``,
                None for each column source says that it is left out on purpose.
            products: (N,) rows, or columns by name, with the columns that column sources read (``columns``), as in the product
                files that the model was trained on, row for row as the arrays; without it they count as missing,
                which the log warns of once.
                ``pd.read_csv(path, dtype=str, keep_default_na=False)`` reads a file as the pipelines do. Categories of other
                types than text are those that read alike (True is ``true``, 7 is ``007``); the log warns of a column whose
                categories the model does not know.

        Raises:
            DataError: naming the source with a wrong name, shape or value, the column that is missing or there twice, or a value
                that may be several categories.
        """
        return self.price_features(self._features(arrays, products))

    def predict_intervals(
        self,
        arrays: Mapping[str, Any],
        products: pd.DataFrame | Mapping[str, Sequence[Any]] | None = None,
        levels: float | Sequence[float] = (0.8, 0.9),
    ) -> pd.DataFrame:
        """Prices with intervals: ``price``, ``price_low`` and ``price_high`` of the first level, then of the others.

        Where a source says how much of a product there is, ``unit_price`` (in currency units) and ``unit`` (``100 g``, ``100 ml`` or
        ``piece``) follow, empty where it is unknown.

        Args:
            arrays: as in ``predict``.
            products: as in ``predict``.
            levels: how often the true price shall be inside, one or several.

        Raises:
            DataError: as ``predict``, or if too few rows calibrated the model for these levels.
            ParameterError: if a level is no fraction between 0 and 1.
        """
        levels = _fractions(levels)
        features = self._features(arrays, products)
        return with_unit_prices(self._price_table(features, levels), features, self.model.sources)

    def predict_samples(self, samples: pd.DataFrame, tables: Mapping[str, TableView]) -> NDArray[np.float64]:
        """Prices of the products of a sample table, (N,), finite and positive."""
        return self.price_features(self._features_of(samples, tables), whole_blocks=True)

    def price_samples(
        self,
        samples: pd.DataFrame,
        tables: Mapping[str, TableView],
        levels: Sequence[float],
        *,
        twice: bool = False,
    ) -> pd.DataFrame:
        """Prices with intervals of the products of a sample table, as ``predict_intervals`` gives them.

        A network or ensemble gives a product the same bits among any others, in any order: in a partition as in the whole table.

        A model that too few rows calibrated gives no bounds. ``twice`` adds what twice the amount would cost, all else equal,
        where a source has amounts: ``predicted_twice``.
        """
        features = self._features_of(samples, tables)
        table = self._price_table(features, levels if self.model.calibration else (), whole_blocks=True)
        table = with_unit_prices(table, features, self.model.sources)
        doubled = twice_the_amount(features, self.model.sources) if twice else None
        if doubled is not None:
            table[TWICE] = np.where(doubled[1], self.price_features(doubled[0], whole_blocks=True), np.nan)
        return table

    def gate_weights(self, samples: pd.DataFrame, tables: Mapping[str, TableView]) -> NDArray[np.float32]:
        """Weight of each expert for the products of a sample table, (N, experts); (N, 0) of a model without a gate."""
        if not isinstance(self.model, Network):
            return np.empty((len(samples), 0), np.float32)
        return self.model.gate_weights(self._features_of(samples, tables))

    def price_features(self, features: Features, *, whole_blocks: bool = False) -> NDArray[np.float64]:
        """Prices of N products, (N,): the median price of one that no source knows.

        Args:
            features: of the model's sources.
            whole_blocks: as of ``models.scoring.score``.

        Raises:
            CheckpointError: if the model's price of a product is NaN or infinite.
        """
        log_prices, known = self.model.log_prices(features, whole_blocks=whole_blocks), features.known().numpy()
        lost = np.flatnonzero(known & np.isnan(log_prices))
        if len(lost):
            raise CheckpointError(
                f"{self.model.name} gives {len(lost):,} of {len(known):,} products no price (the first is in row {lost[0]}): "
                "its weights are too large for these embeddings. Compare them with those that it was trained on, or train it "
                "again with a lower train.learning_rate."
            )
        return np.where(known, self.model.price_scale.prices(log_prices), self.model.median_price)

    def _price_table(self, features: Features, levels: Sequence[float], *, whole_blocks: bool = False) -> pd.DataFrame:
        prices = self.price_features(features, whole_blocks=whole_blocks)
        table = pd.DataFrame({"price": prices})
        if not levels:
            return table
        calibration = self.model.calibration
        if calibration is None:
            raise DataError(
                f"{self.model.name} has no calibration, so it can give no intervals: too few rows were left to calibrate it. "
                "Train it with more validation rows (splitting.proportions)."
            )
        scale = self.model.price_scale
        bounds = price_intervals(calibration, scale.logs(prices), levels, scale)
        bounds[~features.known().numpy()] = marginal_interval(calibration, levels, scale)
        for place, (low, high) in enumerate(interval_columns(levels)):
            # Quantiles of other rows may leave out the median of the train rows, and log1p the last bit of a price.
            table[low] = np.minimum(bounds[:, place, 0], prices)
            table[high] = np.maximum(bounds[:, place, 1], prices)
        return table

    def _features(
        self, given: Mapping[str, Any], products: pd.DataFrame | Mapping[str, Sequence[Any]] | None
    ) -> Features:
        if not isinstance(given, Mapping):
            raise DataError(
                f"found {type(given).__name__} instead of vectors by source, expected a dict such as "
                f"{{{next(iter(self.widths), 'source')!r}: vectors}}."
            )
        arrays = {name: array for name, array in given.items() if array is not None}
        self._refuse_unknown(arrays)
        vectors = {name: vectors_of(name, array, self.model.sources[name].width) for name, array in arrays.items()}
        read = {name: one.matrix for name, one in vectors.items()}
        missing = {name: one.missing for name, one in vectors.items() if one.missing is not None}
        if products is not None:
            products = self._frame(products)
            self._refuse_twice(products)
            read |= {
                name: column_matrix(products, source, "products")
                for name, source in self.model.sources.items()
                if isinstance(source, ColumnSourceParameters) and name not in arrays
            }
        else:
            self._warn_of_no_products(given)
        self._check(read)
        return features_from_arrays(read, self.model.sources, self.model.dtypes, missing)

    def _features_of(self, samples: pd.DataFrame, tables: Mapping[str, TableView]) -> Features:
        return features_from_tables(samples, tables, self.model.sources, self.model)

    def _warn_of_no_products(self, given: Mapping[str, Any]) -> None:
        """Warn once of column sources that nothing was given for: without what they know, prices may be far off."""
        silent = {name: names for name, names in self.columns.items() if name not in given}
        if not silent or self._warned_of_no_products:
            return
        self._warned_of_no_products = True
        logger.warning(
            "%s reads columns of products, and predict was given no products: %s count(s) as missing for all of them, which can "
            "change prices a lot. Pass a frame with these columns as products; or, if it is on purpose, {%s} with the arrays.",
            self.model.name,
            " and ".join(f"{name} ({', '.join(names)})" for name, names in silent.items()),
            ", ".join(f"{name!r}: None" for name in silent),
        )

    def _frame(self, products: pd.DataFrame | Mapping[str, Sequence[Any]]) -> pd.DataFrame:
        if isinstance(products, pd.DataFrame):
            return products
        try:
            return pd.DataFrame(dict(products))
        except (TypeError, ValueError) as error:
            name = next((name for names in self.columns.values() for name in names), "column")
            raise DataError(
                f"products: found {_described(products)}, expected a frame, or columns of one length by name, such as "
                f"{{{name!r}: [...]}}. Give one product as a frame of one row, such as frame.iloc[[0]]."
            ) from error

    def _refuse_twice(self, products: pd.DataFrame) -> None:
        wanted = {name for names in self.columns.values() for name in (*names, TEXT)}
        if twice := sorted(wanted.intersection(products.columns[products.columns.duplicated()])):
            raise DataError(
                f"products: found more than one column {', '.join(map(repr, twice))}, expected one of each name. Drop the others."
            )

    def _refuse_unknown(self, arrays: Mapping[str, Any], *, empty: bool = True) -> None:
        sources = self.model.sources
        unknown = [name for name in arrays if name not in sources]
        if unknown or not (arrays or empty):
            takes = ", ".join(f"{name} ({source.width})" for name, source in sources.items())
            raise DataError(
                f"found source(s) {', '.join(unknown) or 'none'}; this model takes one or more of {takes}, and column sources "
                "from products"
            )

    def _check(self, arrays: Mapping[str, NDArray[np.floating]]) -> None:
        sources = self.model.sources
        self._refuse_unknown(arrays, empty=False)
        for name, array in arrays.items():
            if array.ndim != 2 or array.shape[1] != sources[name].width:
                raise DataError(f"source {name!r}: shape {array.shape}, expected (N, {sources[name].width})")
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise DataError(
                f"sources have different numbers of rows: {counts}. Row i of each must be the same product."
            )
        for name, array in arrays.items():
            self._check_numbers(name, array)

    def _check_numbers(self, name: str, array: NDArray[np.floating]) -> None:
        source = self.model.sources[name]
        if isinstance(source, ColumnSourceParameters):
            wrong, values = _unusable_columns(array, source), "infinite, beyond float32 or codes of no category"
        else:
            wrong, values = unusable_rows(array), "NaN, infinite or beyond float32"
        if len(wrong):
            raise DataError(
                f"source {name!r}: {len(wrong)} row(s) with values that are {values}, first "
                f"row {wrong[0]}. Fix them, or predict those products without this source."
            )


def _described(products: Any) -> str:
    """What was given as products although it is no table, in short."""
    if isinstance(products, pd.Series):
        return f"a Series of {len(products)} value(s)"
    if not isinstance(products, Mapping):
        return f"{type(products).__name__} {products!r:.80}"
    sizes = (
        f"{name!r}: {f'{len(one)} value(s)' if pd.api.types.is_list_like(one) else f'{one!r:.40}'}"
        for name, one in products.items()
    )
    return f"columns {{{', '.join(sizes)}}}"


def _unusable_columns(array: NDArray[np.floating], source: ColumnSourceParameters) -> NDArray[np.intp]:
    """Rows that hold what tables of columns may not: infinite numbers, or codes of no category. Empty fields are NaN."""
    numbers, codes = np.split(array, [len(source.numeric)], axis=1)
    last = [len(source.vocabulary[name]) for name in source.categorical]
    known = (codes >= 0) & (codes <= last) & (codes == np.floor(codes))
    finite = (np.abs(numbers) <= np.finfo(np.float32).max) | np.isnan(numbers)
    return np.flatnonzero(~np.hstack([finite, known]).all(axis=1))


def _fractions(levels: float | Sequence[float]) -> tuple[float, ...]:
    try:
        return tuple(float(level) for level in np.atleast_1d(levels))
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"levels: found {levels!r:.80}, expected one or several fractions between 0 and 1, such as (0.8, 0.9)."
        ) from error


def _refuse_folder_of_checkpoint(folder: Path) -> None:
    """Refuse the folder in which the catalog keeps a variant's checkpoint."""
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.exists() and not (folder / MANIFEST).exists():
        raise CheckpointError(
            f"{folder}: a folder, but no ensemble (no {MANIFEST}). Load the checkpoint inside: {checkpoint}"
        )
