"""Runs of one session side by side, as ``kedro server start`` has them: each ends and is recorded as if it were alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from support.projects import TIMEOUT, Project

REQUESTS = """
import json, threading
from pathlib import Path
from kedro.framework.session.service_session import KedroServiceSession
from kedro.framework.startup import bootstrap_project

bootstrap_project(Path.cwd())
session = KedroServiceSession.create(serving_mode=True)
answers = {}

def ask(name, **request):
    try:
        session.run(**request)
        answers[name] = "success"
    except Exception as error:
        answers[name] = f"{type(error).__name__}: {error}"

def trained(epochs):
    size = {"branch": {"width": 32}, "head": {"hidden": [16]}}
    return {"seed": epochs, "moe": {"train": {"epochs": epochs}, "model": size}}

requests = {
    "one": {"pipeline_names": ["train_moe"], "runtime_params": trained(1)},
    "two": {"pipeline_names": ["moe"], "runtime_params": trained(2)},
    "split": {"pipeline_names": ["split"]},
    "other pipelines": {"pipeline_names": ["split"], "runtime_params": {"variants": ["moe"]}},
    "wrong": {"pipeline_names": ["split"], "runtime_params": {"seed": "x"}},
}
threads = [threading.Thread(target=ask, args=(name,), kwargs=one) for name, one in requests.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("ANSWERS" + json.dumps(answers))
"""


def test_requests_of_one_session_do_not_see_each_other(
    sample_project: Project, copy_of: Callable[[Project], Project], tmp_path: Path
) -> None:
    project = copy_of(sample_project)
    script = tmp_path / "several.py"
    script.write_text(REQUESTS)
    with project.start(program=str(script)) as process:
        out, errors = process.communicate(TIMEOUT)
    assert process.returncode == 0, out + errors
    answers = json.loads(out.rpartition("ANSWERS")[2])
    assert [answers[name] for name in ("one", "two", "split")] == ["success"] * 3, out + errors
    assert answers["other pipelines"].startswith(
        "ParameterError: the parameters of this request would change pipelines ("
    )
    assert "Leave what you set of variants as conf/ has it" in answers["other pipelines"]
    assert answers["wrong"].startswith("ParameterError: 1 wrong parameter(s)")
    runs = [
        run
        for run in json.loads(project.kedro("price-fusion", "runs", "--json").stdout)
        if run["pipelines"] != ["fabricate"]
    ]
    assert {(run["pipelines"][0], run["status"], len(run["nodes"])) for run in runs} == {
        ("train_moe", "finished", 12),
        ("moe", "finished", 31),
        ("split", "finished", 4),
    }
    by_pipeline = {run["pipelines"][0]: run for run in runs}
    assert (
        by_pipeline["train_moe"]["parameters"]["seed"]
        == by_pipeline["train_moe"]["parameters"]["moe"]["train"]["epochs"]
        == 1
    )
    assert list(by_pipeline["moe"]["metrics"]) == ["moe"]
    assert not by_pipeline["split"]["metrics"]
