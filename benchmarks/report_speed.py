"""Seconds and size of a model's page for many products.

    python benchmarks/report_speed.py

Evaluated products are made up; figures and page are made by the functions that ``report_<variant>`` calls, in one process, with
the import of plotly.
"""

from __future__ import annotations

import argparse
import re
from time import perf_counter

import numpy as np
import pandas as pd

from common import Column, Goal, ResultTable, Section, describe_machine, parse_arguments, start
from price_fusion.command_options import CommandOptions
from price_fusion.metrics.intervals import coverage_table
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.metrics.price_metrics import metrics_by_price, smape_per_product
from price_fusion.parameters import PriceGroupParameters
from price_fusion.pipelines.evaluation.nodes import summarise
from timing import Timings, best_seconds

SMOKE = {"rows": 500, "resamples": 100}
SECONDS_GOAL, SIZE_GOAL = 10.0, 5.0


def evaluated(rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """An evaluation with intervals, and the product table."""
    generator = np.random.default_rng(4)
    price = np.exp(generator.normal(2.7, 1.0, size=rows)).clip(0.13, 2_796)
    predicted = price * np.exp(generator.normal(0, 0.6, size=rows))
    results = pd.DataFrame({"sample_id": np.arange(rows), "split": "holdout", "tuned_on": False, "price": price})
    results = results.assign(predicted=predicted, absolute_error=np.abs(predicted - price))
    results = results.assign(smape=smape_per_product(predicted, price))
    for end, factor in (("", 2.2), ("_90", 2.7)):
        results[f"price_low{end}"], results[f"price_high{end}"] = predicted / factor, predicted * factor
    texts = [f"Item Name: product {number}, " + "a text of usual length " * 20 for number in range(rows)]
    link = "https://shop.example/picture.jpg"
    return results, pd.DataFrame({"sample_id": np.arange(rows), "catalog_content": texts, "image_link": link})


def write_page(results: pd.DataFrame, products: pd.DataFrame, resamples: int) -> str:
    """What the nodes of the stage ``reporting`` do."""
    from price_fusion.report import figures
    from price_fusion.report.listed_products import extreme_products
    from price_fusion.report.model_page import headlines, model_page
    from price_fusion.report.page import Section as PageSection

    price, predicted = results["price"].to_numpy(), results["predicted"].to_numpy()
    groups_of_prices = PriceGroups.of_prices(price, "USD", PriceGroupParameters())
    names = ["price_low", "price_high", "price_low_90", "price_high_90"]
    bounds = results[names].to_numpy().reshape(len(results), 2, 2)
    coverage = coverage_table(predicted, price, bounds, (0.8, 0.9), groups_of_prices)
    drawn = {
        "true_against_predicted": figures.true_against_predicted(price, predicted, groups_of_prices.currency),
        "errors_by_price": figures.errors_by_price(
            metrics_by_price(predicted, price, groups_of_prices), groups_of_prices
        ),
        "residuals": figures.residuals(price, predicted, groups_of_prices),
        "calibration": figures.calibration(price, predicted, coverage, groups_of_prices.currency),
    }
    groups = np.arange(len(results))
    numbers = headlines(results, groups, coverage, 14.0, groups_of_prices.currency, resamples=resamples, seed=1)
    _, _, extremes = summarise(results, groups_of_prices.model_dump(mode="json"))
    shown = PageSection("Products", products=extreme_products(extremes, products, None))
    return model_page(
        "moe",
        results,
        "The final fit predicts new products.",
        groups_of_prices.currency,
        numbers,
        drawn,
        [shown],
        CommandOptions(),
    )


def products_said(page: str) -> int:
    """How many products a page says that it was measured on."""
    found = re.search(r"Measured on ([\d,]+) holdout products", page)
    return int(found[1].replace(",", "")) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=75_000)
    parser.add_argument("--resamples", type=int, default=2_000)
    options = parse_arguments(parser, SMOKE)
    start("report speed")
    results, products = evaluated(options.rows)
    price, predicted = results["price"].to_numpy(), results["predicted"].to_numpy()
    floor = best_seconds(lambda: smape_per_product(predicted, price), 0.1)
    seconds, size = [], 0.0
    for number in ("first", "next"):
        times, began = Timings(f"the {number} page", options.rows), perf_counter()
        page = write_page(results, products, options.resamples)
        times.note(products_said(page), perf_counter() - began)
        seconds.append(times.median(floor))
        size = len(page.encode()) / 1e6
    section = Section(
        "report_speed",
        "Pages of reports",
        f"{options.rows:,} made-up evaluated products, {options.resamples:,} resamples",
        machine=describe_machine(with_torch=False),
    )
    columns = (
        Column("rows", "products", ",d"),
        Column("first", "first page, s", ".2f"),
        Column("second", "next page, s", ".2f"),
        Column("size", "size, MB", ".2f"),
    )
    row = {"rows": options.rows, "first": seconds[0], "second": seconds[1], "size": size}
    notes = ["the first page imports plotly and compresses it"]
    section.tables.append(ResultTable("A page of one model", columns, [row], notes))
    section.goals += [
        Goal("first page", SECONDS_GOAL, seconds[0], "s", at_least=False),
        Goal("size", SIZE_GOAL, size, "MB", at_least=False),
    ]
    section.finish(options)


if __name__ == "__main__":
    main()
