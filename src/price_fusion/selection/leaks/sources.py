"""Sources that leak prices: an encoder that was tuned on prices of some products is far too good on these.

Each source predicts prices out of fold by a ridge regression on it alone; holdout rows take no part. Of each group of products
that share an image or text one is used, so that those used are independent. Then, per source:

``best by far``
    its SMAPE is a fraction of the next best source's, or lower than anything that is honest.
``better on rows``
    a stretch of products in the order of files, tables or ids, on which it beats the other sources by more than elsewhere.
    P-value by permutation of the largest of all stretches (sequential: J. Besag and P. Clifford, "Sequential Monte Carlo
    p-values", *Biometrika* 78, 1991).
``better where tuned on``
    the same of the products that an encoder is declared to be tuned on.
``knows what others miss``
    what makes a product expensive or cheap beyond its description is missed by all sources alike: the residual of one is
    proportional to that of the others, plus noise. A source that knows some prices has a share of products where it is not, so
    that its squared deviation from proportionality grows with the others' squared residual: R. Koenker, "A note on
    studentizing a test for heteroscedasticity", *Journal of Econometrics* 17, 1981. It finds such products wherever they are.

Shapes: ``N`` labelled products, ``M`` of them that are used, ``S`` sources. Residuals are of log1p of the price.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from price_fusion.data.groups.dealing import deal, groups_of
from price_fusion.data.ids import ids_of
from price_fusion.data.table import EmbeddingTable
from price_fusion.metrics.bootstrap import paired_difference
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.metrics.price_scale import price_unit
from price_fusion.models.estimators import fit_estimator
from price_fusion.models.features import features_from_tables
from price_fusion.parameters import LeakParameters
from price_fusion.selection.leaks.stretches import best_stretch

logger = logging.getLogger(__name__)

Rows = NDArray[np.int64]
Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

PARTS = 5
"""Of the cross-fit: three fit, one chooses the penalty, one is predicted."""
STRATA = 10
LEAST_ROWS = 200
"""With fewer products nothing is said."""
ASSOCIATION, EXCESS = 0.15, 0.1
"""Least correlation of squares, and by how much it must exceed the median of the other sources', to count."""
TRIMMED = 0.99
"""Squares beyond this quantile count as it: a single product must not make the correlation."""
MISSED = 2 / 3
"""Quantile of the others' residuals from which on products count as missed."""
DECLARED = "better where tuned on"


@dataclass(frozen=True)
class Check:
    """One question asked of one source."""

    check: str
    source: str
    effect_points: float
    """SMAPE points by which it is better than it should be."""
    p_value: float | None
    """Of one question; None where it is a threshold."""
    where: str = ""
    products: int | None = None
    """Of the subset."""
    is_suspect: bool = False


@dataclass(frozen=True)
class Predictions:
    """Products that are used, with what each source makes of them."""

    places: Rows
    """(M,) in the sample table, ascending."""
    residual: Mapping[str, Values]
    """Per source (M,): log price minus the predicted one."""
    smape: Mapping[str, Values]
    """Per source (M,) in percent."""
    compared: tuple[str, ...]
    """Sources that the others are measured against: embeddings, where there are some."""

    def others(self, source: str) -> tuple[str, ...]:
        """What a source is measured against."""
        return tuple(name for name in self.compared if name != source)

    def shared(self, source: str) -> tuple[Values, Values]:
        """Mean residual and mean SMAPE of the other sources, (M,) each."""
        names = self.others(source)
        residual, smape = (np.mean([table[name] for name in names], axis=0) for table in (self.residual, self.smape))
        return residual, smape


def find_informed_sources(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    tables: Mapping[str, EmbeddingTable],
    leaks: LeakParameters,
    *,
    seed: int,
) -> dict[str, Any]:
    """Ask each source whether it knows prices that it should not know.

    Args:
        samples: the sample table, labelled; prices of holdout rows are not used.
        split_table: in the order of ``samples``.
        tables: of the sources.
        leaks: what counts as suspicious.
        seed: of the cross-fit and the permutations.

    Returns:
        ``rows`` examined; ``smape`` in percent per source; ``tests`` that share the level of significance; ``checks``,
        each with ``check``, ``source``, ``effect_points``, ``p_value``, ``where``, ``products``, ``is_suspect``.
    """
    places = _independent(samples, split_table, tables)
    if len(places) < LEAST_ROWS:
        logger.info(
            "%d products outside the holdout are in all sources of embeddings: too few to check for sources that leak prices",
            len(places),
        )
        return {"rows": len(places), "smape": {}, "tests": 0, "checks": []}
    predictions = _predict(samples, tables, places, seed)
    checks = [*_best_by_far(predictions, leaks), *_missed(predictions)]
    tuned = split_table["tuned_on"].to_numpy()[places]
    for source in predictions.compared:
        if predictions.others(source):
            checks += _better_somewhere(
                predictions, source, _orders(samples.iloc[places], tables[source]), tuned, leaks, seed
            )
    tests = sum(check.p_value is not None for check in checks)
    return {
        "rows": len(places),
        "smape": {source: float(smape.mean()) for source, smape in predictions.smape.items()},
        "tests": tests,
        "checks": [asdict(_judged(check, leaks, tests)) for check in checks],
    }


def warn_of_sources(report: Mapping[str, Any]) -> None:
    """Log a warning for each suspicion that is not declared anyway; or that there is none."""
    if not any(check["is_suspect"] for check in report["checks"]):
        logger.info("no source is suspected of leaking prices, in %d checks", len(report["checks"]))
    for check in report["checks"]:
        if check["is_suspect"] and check["check"] != DECLARED:
            logger.warning(
                "source %r may leak prices: %s%s, by %.1f points of SMAPE. If its encoder was tuned on prices, name the "
                "products in <source>.tuned_on_ids and set sources.%s.tuned_on_ids: true.",
                check["source"], check["check"], f" ({check['where']})" if check["where"] else "", check["effect_points"],
                check["source"],
            )  # fmt: skip


def _independent(samples: pd.DataFrame, split_table: pd.DataFrame, tables: Mapping[str, EmbeddingTable]) -> Rows:
    """One product of each group, among those outside the holdout that all sources of embeddings know."""
    usable = (split_table["split"] != "holdout").to_numpy()
    ids = ids_of(samples["sample_id"])
    for table in tables.values():
        if table.width:
            usable = usable & (table.rows_of(ids) >= 0)
    places = np.flatnonzero(usable)
    return places[~samples["group_key"].iloc[places].duplicated().to_numpy()]


def _predict(samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable], places: Rows, seed: int) -> Predictions:
    """Predict the products out of fold by each source alone."""
    chosen = samples.iloc[places].reset_index(drop=True)
    prices = chosen["price"].to_numpy(np.float64)
    in_units = prices / price_unit(float(np.median(prices))) if len(prices) else prices
    groups, group_of = groups_of(ids_of(chosen["sample_id"]), chosen["group_key"].to_numpy(), prices)
    draw = f"parts of the search for leaks, seed {seed}"
    parts = deal(groups, [1 / PARTS] * PARTS, quantiles=STRATA, draw=draw, fill=True)[group_of]
    residual, smape = {}, {}
    for source, table in tables.items():
        predicted = _out_of_fold(chosen, source, table, np.log1p(in_units), parts)
        residual[source] = np.log1p(in_units) - predicted
        smape[source] = smape_per_product(np.expm1(predicted), in_units)
    embedded = tuple(source for source, table in tables.items() if table.width)
    return Predictions(places, residual, smape, embedded or tuple(tables))


def _out_of_fold(chosen: pd.DataFrame, source: str, table: EmbeddingTable, log_prices: Values, parts: Rows) -> Values:
    """Log prices by ridge regressions that did not see the product, (M,)."""
    sources = {source: table.declaration}
    features = features_from_tables(chosen, {source: table}, sources)
    predicted = np.empty(len(chosen))
    for part in range(PARTS):
        asked, stop = (np.flatnonzero(parts == number) for number in (part, (part + 1) % PARTS))
        fit = np.setdiff1d(np.arange(len(chosen)), np.concatenate([asked, stop]))
        predicted[asked] = fit_estimator("ridge", features, sources, log_prices, fit, stop).log_prices(features, asked)
    return predicted


def _best_by_far(predictions: Predictions, leaks: LeakParameters) -> list[Check]:
    """Sources whose SMAPE is implausible."""
    means = {source: float(smape.mean()) for source, smape in predictions.smape.items()}
    checks = []
    for source, mean in means.items():
        rivals = [name for name in means if name != source]
        best = min(rivals, key=means.__getitem__, default=None)
        is_suspect = mean < leaks.least_smape or (best is not None and mean < leaks.ratio * means[best])
        where, effect = "", 0.0
        if best is not None:
            found = paired_difference(predictions.smape[best], predictions.smape[source])
            where = f"SMAPE {mean:.1f} %, {best} {means[best]:.1f} %: [{found.low:.1f}, {found.high:.1f}] points"
            effect = found.mean
        checks.append(Check("best by far", source, effect, None, where, len(predictions.places), is_suspect))
    return checks


def _missed(predictions: Predictions) -> list[Check]:
    """Sources that know what all others miss."""
    asked = [source for source in predictions.residual if predictions.others(source)]
    association = {
        source: _association(predictions.residual[source], predictions.shared(source)[0]) for source in asked
    }
    checks = []
    for source in asked:
        rivals = [association[name] for name in asked if name != source and name in predictions.compared]
        excess = association[source] - float(np.median(rivals)) if rivals else association[source]
        shared, smape = predictions.shared(source)
        missed = np.abs(shared) >= np.quantile(np.abs(shared), MISSED)
        checks.append(
            Check(
                "knows what others miss",
                source,
                float((smape - predictions.smape[source])[missed].mean()),
                float(stats.norm.sf(association[source] * np.sqrt(len(shared)))),
                f"association {association[source]:.2f}, {excess:+.2f} to the other sources'",
                int(missed.sum()),
                association[source] >= ASSOCIATION and excess >= EXCESS,
            )
        )
    return checks


def _association(residual: Values, shared: Values) -> float:
    """Correlation of the squared deviation from proportionality with the squared shared residual."""
    size = float(shared @ shared)
    deviation = residual - (float(residual @ shared) / size if size else 0.0) * shared
    one, other = (np.minimum(square, np.quantile(square, TRIMMED)) for square in (deviation**2, shared**2))
    if not (np.ptp(one) and np.ptp(other)):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _better_somewhere(
    predictions: Predictions, source: str, orders: Mapping[str, Rows], tuned: Mask, leaks: LeakParameters, seed: int
) -> list[Check]:
    """Whether a source beats the others by more on a stretch of rows, or where it was tuned on, than elsewhere."""
    advantage = predictions.shared(source)[1] - predictions.smape[source]
    checks = []
    for name, order in orders.items():
        found = best_stretch(advantage[order], significance=leaks.significance, seed=seed)
        inside = np.zeros(len(order), dtype=bool)
        inside[order[found.start : found.stop]] = True
        where = f"{found.start + 1:,} to {found.stop:,} of {len(order):,} in the order of {name}"
        checks.append(_better_inside("better on rows", predictions, source, inside, found.p_value, where, leaks))
    if 1 < tuned.sum() < len(tuned) - 1:
        test = stats.ttest_ind(advantage[tuned], advantage[~tuned], equal_var=False, alternative="greater")
        checks.append(_better_inside(DECLARED, predictions, source, tuned, float(test.pvalue), "", leaks))
    return checks


def _better_inside(
    check: str, predictions: Predictions, source: str, inside: Mask, p_value: float, where: str, leaks: LeakParameters
) -> Check:
    """A check whose effect is by how much more a source beats another inside a subset than outside it.

    The other one is the median of them (the lower one of two), and where there is just one, the source itself outside: what
    is good inside must not be taken for what is bad outside.
    """
    own = predictions.smape[source]
    contrasts = sorted(_contrast(predictions.smape[name] - own, inside) for name in predictions.others(source))
    effect = contrasts[(len(contrasts) - 1) // 2]
    if len(contrasts) == 1:
        effect = min(effect, _contrast(-own, inside))
    return Check(check, source, effect, p_value, where, int(inside.sum()), effect >= leaks.points)


def _contrast(values: Values, inside: Mask) -> float:
    """Mean inside minus mean outside."""
    return float(values[inside].mean() - values[~inside].mean())


def _orders(chosen: pd.DataFrame, table: EmbeddingTable) -> dict[str, Rows]:
    """Orders in which tuned products may stand together, each only once."""
    candidates = {
        "the products' file": np.argsort(chosen["place"].to_numpy(), kind="stable"),
        "the embeddings' file": np.argsort(table.rows_of(ids_of(chosen["sample_id"])), kind="stable"),
        "ids": np.argsort(chosen["sample_id"].to_numpy(), kind="stable"),
    }
    distinct: dict[str, Rows] = {}
    for name, order in candidates.items():
        if not any(np.array_equal(order, other) for other in distinct.values()):
            distinct[name] = order
    return distinct


def _judged(check: Check, leaks: LeakParameters, tests: int) -> Check:
    """A check whose size is suspicious is so only if chance is ruled out over all tests."""
    by_chance = check.p_value is not None and check.p_value * tests > leaks.significance
    return replace(check, is_suspect=check.is_suspect and not by_chance)
