"""``check_leaks`` and ``leak_effect_<variant>`` through the real command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd

from support.projects import Project


def test_the_made_up_products_have_no_leak_by_text_or_image(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    result = project.kedro("run", "--pipelines", "check_leaks,leak_effect_moe", "--only-missing-outputs")
    reports = project.path / "data/08_reporting"
    report = json.loads((reports / "leaks/leak_report.json").read_text())
    found = {
        (overlap["kind"], overlap["of"])
        for overlap in report["overlaps"]
        if overlap["products"] and overlap["kind"] in ("id", "text", "image link") and overlap["of"] != "test"
    }
    assert not found
    informed = json.loads((reports / "leaks/informed_sources.json").read_text())
    assert not [check for check in informed["checks"] if check["is_suspect"]]
    assert "may leak prices" not in result.stdout + result.stderr
    effect = json.loads((reports / "moe/leak_effect.json").read_text())
    results = pd.read_csv(reports / "moe/evaluation_results.csv")
    assert effect["rows"] == len(results)
    assert "Leaks and the SMAPE of moe" in result.stdout
