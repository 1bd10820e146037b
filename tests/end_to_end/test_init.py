"""A shop with columns of its own, from its CSV to prices, without a line of YAML."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from support.projects import Project, make_project

SHOP = "fabrication.kind=shop,fabrication.labelled=300,fabrication.unlabelled=60"
SHORT = ",".join(
    f"{name}.train.epochs=2,{name}.model.branch.width=32,{name}.model.head.hidden=[16]"
    for name in ("moe", "two_branch")
)


def test_a_shop_is_priced_without_yaml(tmp_path: Path) -> None:
    project: Project = make_project(tmp_path / "project")
    project.kedro("run", "--pipelines", "fabricate", "--params", SHOP)
    told = project.kedro("price-fusion", "init", "data/01_raw/shop", "--env", "shop").stdout
    assert "id: sku (its name, and each value occurs once)" in told
    assert "currency: EUR (the name of 'price_eur')" in told
    assert "products.csv, those whose price is empty" in told
    assert "source text: text_vectors/vectors.npy with ids in skus.npy, 384 columns" in told
    assert "Next: kedro run --env shop --pipelines compare (finds the best model)" in told
    assert "  or: kedro run --env shop (predicts with moe)" in told
    assert "Warning" not in told
    again = project.kedro("price-fusion", "init", "data/01_raw/shop", "--env", "shop", fails=True)
    assert "is there already, and nothing is overwritten" in again.stdout + again.stderr
    project.kedro("run", "--env", "shop", "--params", SHORT)
    shop = pd.read_csv(project.path / "data/01_raw/shop/products.csv", dtype=str)
    wanted = shop.loc[shop["price_eur"].isna(), "sku"]
    out = pd.read_csv(project.path / "data/shop/07_model_output/moe/test_out.csv")
    assert list(out) == ["sku", "price_eur"]
    assert out["sku"].tolist() == wanted.tolist()
    assert (out["price_eur"] > 0).all()
    results = pd.read_csv(project.path / "data/shop/08_reporting/moe/evaluation_results.csv")
    assert {"sku", "price_eur", "predicted"} <= set(results)
    assert "EUR" in (project.path / "data/shop/08_reporting/moe/report.html").read_text(encoding="utf-8")
    project.kedro(
        "run", "--env", "shop", "--pipelines", "two_branch,predict_ridge", "--params", f"{SHORT},compute.partitions=3"
    )
    for model in ("two_branch", "ridge"):
        out = pd.read_csv(project.path / f"data/shop/07_model_output/{model}/test_out.csv")
        assert list(out) == ["sku", "price_eur"]
        assert out["sku"].tolist() == wanted.tolist()
    folds = pd.read_parquet(project.path / "data/shop/07_model_output/ridge/out_of_fold.parquet")
    assert list(folds)[:3] == ["sku", "fold", "price_eur"]
