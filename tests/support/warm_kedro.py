"""``kedro`` in processes that need not import torch, pandas and the like first: each command is a fork of one that has.

A command is what it is on the command line: it has its own arguments, folder, environment, output and exit status, the
interpreter ends as usual, and neither Kedro's framework nor the project's settings, hooks and registry have been loaded
before. Only importing, which takes longer than a small project's run, is done once. ``Project.kedro(..., warm=False)`` starts an interpreter instead.

As a script it is that process: requests on its input, exit statuses on its output, a line of JSON each.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

PRELOADED = (
    "price_fusion",  # first: it sets what torch reads when it is imported
    "kedro.config",  # nothing of kedro.framework, which sets up logging by the folder that it is imported in
    "kedro.pipeline",
    "dynaconf",
    "click",
    "rich.traceback",
    "requests",
    "filelock",
    "pathspec",
    "pandas",
    "pyarrow.parquet",
    "scipy.sparse.csgraph",
    "scipy.stats",
    "crepes",
    "torch",
    "torch._dynamo",
    "safetensors.torch",
    "plotly.graph_objects",
    "plotly.io",
    "plotly.offline",
    "price_fusion.pipelines.ingestion.partition_nodes",
    "price_fusion.pipelines.comparison",
    "price_fusion.pipelines.fabrication.sample",
    "price_fusion.pipelines.ingestion.nodes",
    "price_fusion.pipelines.leaks.nodes",
    "price_fusion.pipelines.reporting",
    "price_fusion.pipelines.training",
    "price_fusion.datasets.checkpoint",
    "price_fusion.datasets.embedding_files",
    "kedro_datasets.pandas.parquet_dataset",
    "kedro_datasets.plotly.json_dataset",
    "price_fusion.datasets.validators",
    "price_fusion.datasets.whole_file",
    "price_fusion.datasets.safe_csv",
    "price_fusion.evaluation.calibration",
    "price_fusion.training.trainer",
    "price_fusion.selection.final_fit",
    "price_fusion.prediction.predictor",
    "price_fusion.report.comparison_page",
    "price_fusion.report.model_page",
    "price_fusion.report.model_sections",
)
UNWARM = ("OMP_NUM_THREADS", "PYTHON")
"""Beginnings of environment variables that are read only as an interpreter or torch starts."""


class WarmKedro:
    """Runs commands one after the other.

    Args:
        environment: that the process begins with; a command may have another, but for what begins as ``UNWARM``.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a command with that environment may be forked."""
        own, other = ({k: v for k, v in one.items() if k.startswith(UNWARM)} for one in (self.environment, environment))
        return own == other

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run ``kedro`` with these arguments; ``TimeoutExpired`` if it takes longer than so many seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with TemporaryDirectory() as scratch:
            output, errors = Path(scratch, "stdout"), Path(scratch, "stderr")
            request = {
                "arguments": list(arguments),
                "folder": str(folder),
                "environment": dict(environment),
                "stdout": str(output),
                "stderr": str(errors),
                "timeout": timeout,
            }
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            status = json.loads(self._process.stdout.readline())
            printed = (output.read_text(), errors.read_text())
        if status is None:
            raise subprocess.TimeoutExpired(["kedro", *arguments], timeout, *printed)
        return subprocess.CompletedProcess(["kedro", *arguments], status, *printed)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve() -> dict[str, object] | None:
    """Answer requests; in the child of a fork, the request that it is for. None at the end."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed here by accident is no answer
    assert "kedro.framework" not in sys.modules, "PRELOADED loads what reads the project"
    for line in sys.stdin:
        request: dict[str, object] = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        status = _wait(child, float(str(request["timeout"])))
        answers.write(json.dumps(status) + "\n")
        answers.flush()
    return None


def _wait(child: int, timeout: float) -> int | None:
    """Its exit status; None if it had to be killed."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def become(request: Mapping[str, object]) -> None:
    """Be the command from here on."""
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.chdir(str(request["folder"]))
    for name, number in (("stdout", 1), ("stderr", 2)):
        descriptor = os.open(str(request[name]), os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.argv = ["kedro", *request["arguments"]]  # type: ignore[misc]
    sys.path[0] = str(request["folder"])
    runpy.run_module("kedro", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    # Dynaconf asks for file names alone; looking for source lines among all that is imported takes 0.2 s of each command.
    inspect.stack = partial(inspect.stack, 0)
    os.fsync = lambda _descriptor: None  # type: ignore[assignment]  # 300 in a small run; tests never cut the machine's power
    gc.freeze()  # or each child's collections copy all that was imported
    if (mine := serve()) is not None:
        become(mine)
