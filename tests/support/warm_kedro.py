"""``kedro`` in processes that need not import torch, pandas and the like first: each command is a fork of one that has.

A command is what it is on the command line: it has its own arguments, folder, environment, output and exit status, the
interpreter ends as usual, and neither Kedro's framework nor the project's settings, hooks and registry have been loaded
before. Only importing, which takes longer than a small project's run, is done once. ``Project.kedro(..., warm=False)``
starts an interpreter instead.

As a script it is that process: requests on its input, answers on its output, a line of JSON each.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
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
    "pyarrow.dataset",
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
    "kedro_datasets.json.json_dataset",
    "kedro_datasets.pandas.parquet_dataset",
    "kedro_datasets.plotly.json_dataset",
    "kedro_datasets.text.text_dataset",
    "kedro_datasets.yaml.yaml_dataset",
    "price_fusion.pipelines.ablation",
    "price_fusion.pipelines.comparison",
    "price_fusion.pipelines.cross_validation",
    "price_fusion.pipelines.ensembling",
    "price_fusion.pipelines.evaluation",
    "price_fusion.pipelines.export",
    "price_fusion.pipelines.fabrication.sample",
    "price_fusion.pipelines.final_fit",
    "price_fusion.pipelines.inference",
    "price_fusion.pipelines.ingestion.nodes",
    "price_fusion.pipelines.ingestion.partition_nodes",
    "price_fusion.pipelines.leaks.nodes",
    "price_fusion.pipelines.reporting",
    "price_fusion.pipelines.splitting",
    "price_fusion.pipelines.training",
    "price_fusion.pipelines.tuning",
    "price_fusion.datasets.checkpoint",
    "price_fusion.datasets.embedding_files",
    "price_fusion.datasets.embedding_table",
    "price_fusion.datasets.raw_facts",
    "price_fusion.datasets.safe_csv",
    "price_fusion.datasets.validators",
    "price_fusion.datasets.whole_file",
    "price_fusion.evaluation.calibration",
    "price_fusion.onboarding.proposal",
    "price_fusion.onboarding.written_conf",
    "price_fusion.prediction.predictor",
    "price_fusion.report.comparison_page",
    "price_fusion.report.model_card",
    "price_fusion.report.model_page",
    "price_fusion.report.model_sections",
    "price_fusion.runs.past_runs",
    "price_fusion.selection.final_fit",
    "price_fusion.training.trainer",
)
UNWARM = ("OMP_NUM_THREADS", "PYTHON")
"""Beginnings of environment variables that are read only as an interpreter or torch starts."""


class WarmKedro:
    """Starts commands.

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
        with self.start(arguments, folder, environment) as process:
            printed = process.communicate(timeout)
        assert process.returncode is not None
        return subprocess.CompletedProcess(process.args, process.returncode, *printed)

    def start(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        program: str = "kedro",
        first: str = "",
        synchronise: bool = False,
    ) -> WarmProcess:
        """Start a command, which goes on while the test does.

        Args:
            arguments: of the command.
            folder: that it runs in.
            environment: all its variables.
            program: the module or, with ``.py`` at its end, the script that is run.
            first: code that is run before it.
            synchronise: whether it waits for the disk where it says so: a write then takes as long as usual.
        """
        scratch = TemporaryDirectory()
        request = {
            "program": program,
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "first": first,
            "synchronise": synchronise,
            **{name: str(Path(scratch.name, name)) for name in ("stdout", "stderr")},
        }
        return WarmProcess(self, [program, *arguments], int(str(self.ask(start=request))), scratch)

    def ask(self, **request: object) -> object:
        """Send a request to the process, and give its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class WarmProcess:
    """A command that was started, in a process group of its own: as ``subprocess.Popen``, as far as tests want it.

    Args:
        kedro: what it is a fork of.
        args: its command.
        pid: its process.
        scratch: a folder with what it prints.
    """

    def __init__(self, kedro: WarmKedro, args: list[str], pid: int, scratch: TemporaryDirectory[str]) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self._kedro = kedro
        self._scratch = scratch

    def poll(self) -> int | None:
        """Its exit status; None as long as it runs."""
        return self._wait(0)

    def wait(self, timeout: float) -> int:
        """Its exit status, once it has one; ``TimeoutExpired`` after so many seconds."""
        status = self._wait(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout, *self._printed())
        return status

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it printed, once it has ended; ``TimeoutExpired`` after so many seconds."""
        self.wait(timeout)
        return self._printed()

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it and all that it started, if it still runs."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait(60)
        self._scratch.cleanup()

    def _wait(self, seconds: float) -> int | None:
        if self.returncode is None:
            status = self._kedro.ask(wait=self.pid, seconds=seconds)
            self.returncode = None if status is None else int(str(status))
        return self.returncode

    def _printed(self) -> tuple[str, str]:
        output, errors = (Path(self._scratch.name, name).read_text() for name in ("stdout", "stderr"))
        return output, errors


def stack(context: int = 0) -> list[inspect.FrameInfo]:
    """``inspect.stack``, in which Dynaconf looks for file names alone, without looking for sources among all that is imported."""
    frame, found = inspect.currentframe(), []
    while frame := frame and frame.f_back:
        code = frame.f_code
        found.append(inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None))
    return found


def serve() -> dict[str, object] | None:
    """Answer requests; in the child of a fork, the command that it is to be. None at the end."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed here by accident is no answer
    assert "kedro.framework" not in sys.modules, "PRELOADED loads what reads the project"
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = _wait(request["wait"], request["seconds"])
        else:
            command: dict[str, object] = request["start"]
            for name in ("stdout", "stderr"):
                Path(str(command[name])).touch()
            answer = os.fork()
            if answer == 0:
                return command
            os.setpgid(answer, answer)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return None


def _wait(child: int, seconds: float) -> int | None:
    """Its exit status; None if it has none after so long."""
    until = time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        time.sleep(0.01)


def become(command: Mapping[str, object]) -> None:
    """Be the command from here on."""
    os.environ.clear()
    os.environ.update(command["environment"])  # type: ignore[call-overload]
    os.chdir(str(command["folder"]))
    for name, number in (("stdout", 1), ("stderr", 2)):
        descriptor = os.open(str(command[name]), os.O_WRONLY)
        os.dup2(descriptor, number)
        os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if not command["synchronise"]:
        os.fsync = lambda _descriptor: None  # type: ignore[assignment]  # 300 in a small run; tests never cut the machine's power
    program = str(command["program"])
    sys.argv = [program, *command["arguments"]]  # type: ignore[misc]
    is_script = program.endswith(".py")
    sys.path[0] = str(Path(program).resolve().parent) if is_script else str(command["folder"])
    exec(str(command["first"]), {"__name__": "first"})  # noqa: S102 - a test's
    if is_script:
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    inspect.stack = stack
    gc.freeze()  # or each child's collections copy all that was imported
    if (mine := serve()) is not None:
        become(mine)
