"""Commands of this project beside Kedro's own, and ``kedro run``."""

from __future__ import annotations

import json
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
    data = _data_folder(env)
    context.obj = found = past_runs(data)
    if context.invoked_subcommand is not None:
        return
    shown = found if all_runs else found[-MOST_RUNS:]
    if as_json:
        click.echo(json.dumps(shown))
    elif shown:
        rich.print(folded(runs_table(shown)))
        click.echo("More: kedro price-fusion runs show ID; kedro price-fusion runs compare ID ID")
    else:
        click.echo(f"No runs in {data} yet: kedro run")


@runs.command()
@click.argument("run")
@click.pass_obj
def show(found: list[dict[str, object]], run: str) -> None:
    """Print the record of one run; a part of its id is enough."""
    click.echo(json.dumps(find_run(found, run), indent=1))


@runs.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def compare(found: list[dict[str, object]], names: tuple[str, ...]) -> None:
    """Metrics of runs side by side, and the parameters that differ."""
    for table in comparison_tables([find_run(found, name) for name in names]):
        rich.print(folded(table))


def _data_folder(env: str | None) -> Path:
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    bootstrap_project(project)
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project / settings.CONF_SOURCE), env=env, **settings.CONFIG_LOADER_ARGS
    )
    return project / str(loader["globals"]["data"])
