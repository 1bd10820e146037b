"""Runs that are killed, told to stop, shut out or left without a disk: nothing is lost, and each says what to do."""

from __future__ import annotations

import os
import platform
import random
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from time import monotonic, sleep

import pytest

from robustness import killing
from robustness.killing import AIMS, SAVES, SETTINGS, Ordeal, Start, digests, train, train_arguments, train_under_fire
from support.projects import VARIABLES, Project
from support.warm_kedro import WarmProcess

SHORT_FORM, LONG_FORM = 4, 30
"""Kills."""
RUN = "data/06_models/moe/run"
WIDE = {"COLUMNS": "500"}
UNSHARE = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]


@pytest.fixture(scope="module")
def tables(trained_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with tables and a split."""
    project = trained_project.fresh_copy(tmp_path_factory.mktemp("tables") / "project")
    shutil.rmtree(project.path / "data/06_models")
    return project


@pytest.fixture(scope="module")
def undisturbed(tables: Project) -> tuple[dict[str, str], float]:
    """What a training leaves that nobody disturbs, and the seconds that it takes."""
    return train(tables.path, start=warm)


def warm(project: Path, arguments: Sequence[str]) -> WarmProcess:
    """A command in lines that are not wrapped; it waits for the disk, so that there are writes to interrupt."""
    return Project(project).start(*arguments, environment=WIDE, synchronise=True)


def endured(
    tables: Project, undisturbed: tuple[dict[str, str], float], seed: int, most: int, start: Start = warm
) -> Ordeal:
    expected, seconds = undisturbed
    chance = random.Random(seed)  # noqa: S311
    ordeal = train_under_fire(tables.path, cycle(reversed(AIMS)), chance, seconds, most=most, start=start)
    assert ordeal.digests == expected, ordeal.kills
    return ordeal


def test_a_training_that_is_killed_again_and_again_ends_the_same(
    tables: Project, undisturbed: tuple[dict[str, str], float]
) -> None:
    ordeal = endured(tables, undisturbed, 1, SHORT_FORM)
    assert any(kill.writing for kill in ordeal.kills)
    assert any(kill.step for kill in ordeal.kills)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_kills_and_more(tables: Project, undisturbed: tuple[dict[str, str], float], seed: int) -> None:
    endured(tables, undisturbed, seed, LONG_FORM, killing.started)


@pytest.mark.slow
def test_a_final_fit_that_is_killed_again_and_again_ends_the_same(trained_project: Project, tmp_path: Path) -> None:
    project, chance = trained_project.fresh_copy(tmp_path / "project"), random.Random(3)  # noqa: S311
    models = project.path / "data/06_models/moe"
    train(project.path)  # a training long enough to be hit
    arguments = ["run", "--pipelines", "predict_moe", "--params", ",".join([*SETTINGS, SAVES])]
    state, left = models / "final/run/state.bin", []
    for kills in (0, 3):
        shutil.rmtree(models / "final", ignore_errors=True)
        for _ in range(kills):
            before = stamp(state)
            with warm(project.path, arguments) as process:
                wait_for(process, lambda before=before: stamp(state) != before)
                sleep(chance.uniform(0, 0.3))
                assert process.poll() is None, "the final fit was over before it was killed"
                process.send_signal(signal.SIGKILL)
                process.wait(120)
            assert not (models / "final/checkpoint.safetensors").exists()
        assert ("going on from" in project.kedro(*arguments).stdout) == bool(kills)
        left.append(
            [
                (project.path / path).read_bytes()
                for path in ("data/06_models/moe/final/checkpoint.safetensors", "data/07_model_output/moe/test_out.csv")
            ]
        )
    assert left[0] == left[1]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_told_to_stop_it_saves_its_state_and_says_how_to_go_on(
    tables: Project, undisturbed: tuple[dict[str, str], float], number: signal.Signals, status: int
) -> None:
    shutil.rmtree(tables.path / "data/06_models", ignore_errors=True)
    with warm(tables.path, train_arguments(resume=False)) as process:
        wait_for(process, lambda: (tables.path / RUN / "state.bin").exists())
        process.send_signal(number)
        said = "".join(process.communicate(timeout=120))
    assert process.returncode == status, said[-3000:]
    assert f"{number.name}: stopping after this training step" in said
    assert f"stopped by {number.name} in epoch" in said
    assert "--pipelines train_moe --nodes moe.train" in said.split("Go on with")[1]
    assert "moe.train.resume=true" in said.split("Go on with")[1].replace("\n", "")
    if number == signal.SIGINT:  # the state is the same after either
        tables.kedro(*train_arguments(resume=True))
        assert digests(tables.path) == undisturbed[0]


def test_told_to_stop_outside_training_it_stops_at_once(tables: Project) -> None:
    # Neighbours and the like have no state to save; a start-up has none either.
    with warm(tables.path, ["run", "--pipelines", "compare"]) as process:
        wait_for(process, lambda: holds(tables, process))
        process.send_signal(signal.SIGTERM)
        said = "".join(process.communicate(timeout=120))
    assert process.returncode == 143, said[-3000:]
    assert "SIGTERM: stopp" in said
    assert "kedro run --pipelines compare" in said


def test_a_second_run_in_the_same_data_folder_is_refused(tables: Project) -> None:
    with warm(tables.path, train_arguments(resume=False)) as first:
        wait_for(first, lambda: holds(tables, first))
        first.send_signal(signal.SIGSTOP)  # or it may be done before the second one begins
        refused = tables.kedro("run", "--pipelines", "split", fails=True)
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=120)
    said = "".join((refused.stdout + refused.stderr).split())
    assert f"process{first.pid}on{platform.node()},started20" in said
    assert "BusyError" in said
    tables.kedro("run", "--pipelines", "split")


def test_what_a_dead_run_was_writing_goes_at_the_next_start(tables: Project) -> None:
    leftover = tables.path / "data/08_reporting/.split_report.json.4194305.partial"
    replaced = tables.path / "data/03_primary/tables/clip_image/.train.4194305.replaced"
    leftover.write_text("{")
    (tables.path / "data/03_primary/tables/clip_image/train").rename(replaced)
    tables.kedro("run", "--pipelines", "train_moe", "--nodes", "ingestion.split_products")
    assert not leftover.exists()
    assert not replaced.exists()
    assert (tables.path / "data/03_primary/tables/clip_image/train/manifest.json").is_file()


@pytest.mark.skipif(
    subprocess.run([*UNSHARE, "mount -t tmpfs tmpfs /mnt"], check=False, capture_output=True).returncode != 0,
    reason="no file system can be mounted here",
)
@pytest.mark.parametrize(
    ("options", "reason"), [("size=96k", "No space left on device"), ("ro", "Read-only file system")]
)
def test_a_disk_that_takes_nothing_more_is_named(tables: Project, options: str, reason: str) -> None:
    models = tables.path / "data/06_models"
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir()
    command = shlex.join([sys.executable, "-m", "kedro", *train_arguments(resume=False)])
    result = subprocess.run(
        [*UNSHARE, f"mount -t tmpfs -o {options} tmpfs '{models}'; {command}"],
        cwd=tables.path,
        env=os.environ | VARIABLES | WIDE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "StorageError" in result.stderr
    assert f"could not be written ({reason}" in result.stderr
    assert "give the same command again" in result.stderr


def stamp(path: Path) -> int:
    """When a file was last written; 0 where it is not there."""
    return path.stat().st_mtime_ns if path.exists() else 0


def holds(project: Project, process: WarmProcess) -> bool:
    """Whether a process is the one that may write into the project's data folder."""
    path = project.path / "data/.run.json"
    return path.exists() and f'"process": {process.pid}' in path.read_text()


def wait_for(process: WarmProcess, until: Callable[[], bool]) -> None:
    end = monotonic() + 120
    while not until():
        assert process.poll() is None, process.communicate(timeout=60)[0][-3000:]
        assert monotonic() < end
        sleep(0.001)
