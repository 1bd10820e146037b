"""Commands of this project beside Kedro's own, and ``kedro run``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
import rich
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from kedro.utils import find_kedro_project

from price_fusion.console.init_command import init_command
from price_fusion.console.run_command import run_command
from price_fusion.console.table_form import folded
from price_fusion.runs.past_runs import comparison_tables, find_run, past_runs, runs_table

MOST_RUNS = 20
"""That a list shows unless asked for more."""


@click.group()
def cli() -> None:
    """What Kedro adds to its own commands, or puts in their place; it looks for a group of this name."""


run = run_command()
"""Kedro looks for it here, too."""
cli.add_command(run)


@cli.group(name="price-fusion")
def price_fusion() -> None:
    """Commands of this project."""


price_fusion.add_command(init_command())


@price_fusion.group(invoke_without_command=True)
@click.option("--env", "-e", envvar="KEDRO_ENV", default=None, help="Environment of conf/; $KEDRO_ENV if not given.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--all", "all_runs", is_flag=True, help=f"All, not only the last {MOST_RUNS}.")
@click.pass_context
def runs(context: click.Context, env: str | None, as_json: bool, all_runs: bool) -> None:
    """List past runs; 'show' and 'compare' say more of some."""
    if context.invoked_subcommand is not None:
        context.obj = env
        return
    data = _data_folder(env)
    found = past_runs(data)
    shown = found if all_runs else found[-MOST_RUNS:]
    if as_json:
        click.echo(json.dumps(shown))
    elif shown:
        rich.print(folded(runs_table(shown)))
        begin = f"kedro price-fusion runs{f' --env {shlex.quote(env)}' if env else ''}"
        click.echo(f"More: {begin} show ID; {begin} compare ID ID")
    else:
        click.echo(f"No runs in {data} yet: kedro run")


_own_env = click.option("--env", "-e", default=None, help="As of 'runs', which takes it, too.")
"""Without ``$KEDRO_ENV``, which would go before what 'runs' was given."""


@runs.command()
@click.argument("run")
@_own_env
@click.pass_obj
def show(env_of_runs: str | None, run: str, env: str | None) -> None:
    """Print the record of one run; a part of its id is enough."""
    found = past_runs(_data_folder(env or env_of_runs))
    click.echo(json.dumps(find_run(found, run), indent=1))


@runs.command()
@click.argument("names", nargs=-1, required=True)
@_own_env
@click.pass_obj
def compare(env_of_runs: str | None, names: tuple[str, ...], env: str | None) -> None:
    """Metrics of runs side by side, and the parameters that differ."""
    found = past_runs(_data_folder(env or env_of_runs))
    for table in comparison_tables([find_run(found, name) for name in names]):
        rich.print(folded(table))


def _data_folder(env: str | None) -> Path:
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    bootstrap_project(project)
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project / settings.CONF_SOURCE), env=env, **settings.CONFIG_LOADER_ARGS
    )
    return project / str(loader["globals"]["data"])
