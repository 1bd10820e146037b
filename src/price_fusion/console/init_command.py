"""``kedro price-fusion init``: from a folder with a table of products and embeddings to an environment that runs."""

from __future__ import annotations

import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.project import settings

from price_fusion.compute.interruption import Interruption, say
from price_fusion.console.commands import with_environment
from price_fusion.console.run_command import run_command
from price_fusion.data.readers.names import nearest
from price_fusion.errors import PriceFusionError, UsageError
from price_fusion.parameters.project import CURRENCY

if TYPE_CHECKING:
    from price_fusion.onboarding.answers import Ask
    from price_fusion.onboarding.column_roles import Guess
    from price_fusion.onboarding.found_embeddings import FoundEmbeddings
    from price_fusion.onboarding.proposal import Proposal

_ENV = re.compile(r"[a-z][a-z0-9_-]*")
_TAKEN = ("base", "local", "ray", "reference")
_OPTIONS = {
    "id": "Column of the ids.",
    "price": "Column of the prices.",
    "text": "Columns of texts, by commas.",
    "image": "Column of the links of pictures.",
    "currency": "Of the prices, such as EUR.",
    "train": "File of the products with prices.",
    "test": "File of the products to be predicted.",
    "order": "Of vectors without ids: 'products' (row n belongs to product n), or 'none' (they are left out).",
}
"""What need not be guessed."""
_ASKED = {
    "id": "Which column has the ids?",
    "price": "Which column has the prices?",
    "currency": "Which currency are the prices in?",
    "train": "Which file has the products with prices?",
    "test": "Which file has the products to be predicted?",
    "order": "{why}. Row n for product n (products), or leave it out (none)?",
}


def init_command() -> click.Command:
    """The command."""

    @click.command(name="init")
    @click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
    @click.option("--env", "-e", required=True, help="Name of the environment to write: conf/NAME.")
    @click.option("--yes", is_flag=True, help="No questions: take the best guess.")
    @click.option("--replace", is_flag=True, help="Write conf/NAME anew; the one that is there is kept as conf/NAME.1.")
    def init(folder: Path, env: str, *, yes: bool, replace: bool, **said: str | None) -> None:
        """Look at FOLDER (product tables, embeddings), say what is guessed, write conf/NAME and ingest the data."""
        try:
            known = {name: value for name, value in said.items() if value}
            make_environment(folder, env, known, _asker(yes=yes), replace=replace)
        except KeyboardInterrupt:
            say(f"SIGINT: stopped; conf/{env} is written whole, or not at all.")
            raise Interruption(signal.SIGINT) from None

    for name, text in _OPTIONS.items():
        init.params.append(click.Option([f"--{name}"], help=text))
    return init


def make_environment(folder: Path, env: str, said: Mapping[str, str], ask: Ask, *, replace: bool = False) -> None:
    """Look, tell, write, ingest.

    Args:
        folder: with product tables and embeddings.
        env: name of the environment.
        said: as of ``proposal_for``.
        ask: likewise.
        replace: whether the environment may be there already; that one is kept under another name.

    Raises:
        UsageError: if the environment cannot have that name, or is there already.
        DataError: if nothing can be made of the folder, or its files cannot be ingested.
    """
    from price_fusion.onboarding.proposal import proposal_for
    from price_fusion.onboarding.written_conf import files_of, refuse_taken, write_conf

    project = Path.cwd()
    conf = project / settings.CONF_SOURCE / env
    if not _ENV.fullmatch(env) or env in _TAKEN:
        raise UsageError(
            f"--env: found {env!r}, expected a name of lower-case letters, digits, - and _, and none of {', '.join(_TAKEN)}."
        )
    if not replace:
        refuse_taken(conf)
    folder = folder.resolve()
    proposal = proposal_for(folder, said, ask)
    for line in told(proposal):
        click.echo(line)
    raw = folder.relative_to(project).as_posix() if folder.is_relative_to(project) else str(folder)
    files = files_of(proposal, env, raw)
    former = write_conf(conf, files, replace=replace)
    click.echo(f"\nWritten: {', '.join(f'{conf.relative_to(project)}/{name}' for name in files)}\n")
    if former:
        kept = former.relative_to(project)
        click.echo(f"The one before is in {kept}; what differs: diff -r {kept} {conf.relative_to(project)}\n")
    stage = "split" if proposal.unlabelled is None else "ingest"
    options = ["--pipelines", stage, "--env", env]
    sys.argv = ["kedro", "run", *options]  # what messages and records say that was run, and can be run again
    try:
        run_command().main(options, standalone_mode=False)
    except PriceFusionError:
        click.echo(
            f"conf/{env} is written, but not all can be ingested. Fix what is named below, then run kedro {shlex.join(sys.argv[1:])}, "
            "or init again with --replace.",
            err=True,
        )
        raise
    if not proposal.sources:
        click.echo(_warned_of_columns_alone(proposal))
    click.echo(with_environment("Next: kedro run --pipelines compare (finds the best model)", env))
    if proposal.unlabelled is not None:
        click.echo(with_environment(f"  or: kedro run (predicts with {proposal.variants[0]})", env))


def told(proposal: Proposal) -> list[str]:
    """What was guessed and why, and what was left out."""
    roles, name = proposal.roles, proposal.folder.name
    lines = [f"In {name}:", f"  products with prices: {_file(proposal, proposal.labelled.path)}"]
    if proposal.unlabelled is None:
        lines.append("  products to be predicted: none found")
    else:
        others = _file(proposal, proposal.unlabelled.path)
        more = ", those whose price is empty" if proposal.one_file else ""
        lines.append(f"  products to be predicted: {others}{more}")
        if proposal.without_price and not proposal.one_file:
            lines.append(
                f"  without a price: {proposal.without_price:,} of {_file(proposal, proposal.labelled.path)}; they are left out of "
                f"training, and predicted only where {others} has them, too"
            )
    for role in ("id", "price", "image", "currency"):
        guess: Guess = getattr(roles, role)
        lines.append(f"  {role}: {guess.value or 'none'} ({guess.why})")
    if (roles.layout.decimal, roles.layout.thousands) != (".", None):
        thousands = f", {roles.layout.thousands!r} between thousands" if roles.layout.thousands else ""
        lines.append(f"  numbers: {roles.layout.decimal!r} before decimals{thousands}")
    lines.append(f"  text: {', '.join(roles.text) or 'none'}")
    if proposal.numeric or proposal.categorical:
        shown = [f"{one} (number)" for one in proposal.numeric] + [f"{one} (category)" for one in proposal.categorical]
        lines.append(f"  source attributes: {', '.join(shown)}")
    if proposal.has_amounts:
        lines.append("  source quantity: amounts such as '250 g' in the texts")
    lines += _told_of_embeddings(proposal)
    lines.append(f"  models: {', '.join(proposal.variants)}")
    if proposal.left_out:
        lines += ["Left out:", *(f"  {one}: {why}" for one, why in proposal.left_out.items())]
    return lines


def _told_of_embeddings(proposal: Proposal) -> list[str]:
    lines = []
    for source in proposal.sources:
        paths = [source.train, *([source.test] if source.test not in (None, source.train) else [])]
        files = " and ".join(_files(proposal, one) for one in paths if one)
        lines.append(
            f"  source {source.name}: {files}, {source.train.width} columns, knows {100 * source.known:.0f} % of the products with prices"
        )
        lines += [
            f"    row n of {_file(proposal, one.path)} is taken for product n of {_file(proposal, one.table)}: nothing in the "
            "files says so, only that there are as many"
            for one in paths
            if one and one.table
        ]
    if proposal.without_embeddings:
        lines.append(
            f"  unknown products: {proposal.without_embeddings:,} with prices are in no file of embeddings; models are trained "
            "without them"
        )
    return lines


def _warned_of_columns_alone(proposal: Proposal) -> str:
    """That no embeddings are used, and why."""
    columns = ", ".join(proposal.source_names)
    found = [f"  {name}: {proposal.left_out[name]}" for name in proposal.left_out_embeddings]
    why = (
        ["Left out:", *found] if found else [f"There are none in {proposal.folder.name} (docs/your-own-embeddings.md)."]
    )
    return "\n".join([f"Warning: no embeddings are used; models see columns of the products alone ({columns}).", *why])


def _files(proposal: Proposal, embeddings: FoundEmbeddings) -> str:
    """What embeddings are read from."""
    if embeddings.path == proposal.folder:  # named by what is in it
        inside = dict.fromkeys(one.relative_to(embeddings.path).parts[0] for one in embeddings.files)
        return " with ".join(inside)
    ids = f" with ids in {embeddings.ids_file.name}" if embeddings.ids_file else ""
    return f"{_file(proposal, embeddings.path)}{ids}"


def _file(proposal: Proposal, path: Path) -> str:
    return str(path.relative_to(proposal.folder))


def _asker(*, yes: bool) -> Ask:
    def ask(what: str, guess: Guess, choices: Sequence[str]) -> str | None:
        if yes:
            return guess.value
        candidates = ", ".join([*([guess.value] if guess.value else []), *guess.others])
        if not _is_terminal():
            options = candidates or "none found"
            raise UsageError(
                f"{what}: not sure ({guess.why}; candidates: {options}). Say it (--{what} ...), or take the best guess (--yes)."
            )
        if guess.others:
            click.echo(f"Candidates: {candidates}")
        with _ended_by_ctrl_c():
            return str(
                click.prompt(
                    _ASKED[what].format(why=guess.why), default=guess.value, value_proc=partial(_chosen, what, choices)
                )
            )

    return ask


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """While this is open, SIGINT ends the process as it ends any other: nothing is written yet.

    Python's own handler only notes it for later. Where it comes after the prompt is shown and before the system waits for a
    line, "later" is when that line is there, and Ctrl-C would seem to do nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _chosen(what: str, choices: Sequence[str], answer: str) -> str:
    """An answer that is one of the choices, if there are any; click asks again otherwise."""
    if what == "currency" and not re.match(CURRENCY, answer):
        raise click.BadParameter(f"found {answer!r}, expected a currency such as EUR")
    if choices and answer not in choices:
        near = nearest(answer, choices)
        raise click.BadParameter(
            f"found no {answer!r}, only {', '.join(map(repr, choices))}{f'; did you mean {near!r}?' if near else ''}"
        )
    return answer
