"""A proposal as files of ``conf/<env>``, with comments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from price_fusion.data.readers.layout import Layout
from price_fusion.errors import UsageError
from price_fusion.onboarding.found_embeddings import FoundEmbeddings
from price_fusion.onboarding.found_tables import FoundTable
from price_fusion.onboarding.proposal import ATTRIBUTES, Proposal
from price_fusion.storage.files import remove_partials_of_the_dead, whole_folder


def files_of(proposal: Proposal, env: str, raw: str) -> dict[str, str]:
    """The contents of each file, by its name.

    Args:
        proposal: what to write.
        env: name of the environment.
        raw: path of the folder, as the configuration shall have it.
    """
    return {
        "globals.yml": _globals(proposal, env, raw),
        "catalog.yml": _catalog(proposal),
        "parameters.yml": _parameters(proposal),
    }


def write_conf(folder: Path, files: Mapping[str, str], *, replace: bool = False) -> Path | None:
    """Write the files of an environment: all, or none.

    Returns:
        Where the environment that was there is now, which somebody may have edited; None where there was none.

    Raises:
        UsageError: if the folder is there already, and not to be replaced.
        StorageError: if one cannot be written.
    """
    if not replace:
        refuse_taken(folder)
    remove_partials_of_the_dead(folder.parent)
    former = _place_of_the_former(folder) if folder.exists() else None
    with whole_folder(folder) as temporary:
        for name, text in files.items():
            (temporary / name).write_text(text, encoding="utf-8", newline="\n")
        if former:
            folder.replace(former)
    return former


def refuse_taken(folder: Path) -> None:
    """Refuse an environment that is there already.

    Raises:
        UsageError: if it is.
    """
    if folder.exists():
        raise UsageError(
            f"{folder}: is there already, and nothing is overwritten. Run it (kedro run --env {folder.name}), give another name (--env "
            f"NAME), or have it written anew (--replace), which keeps this one as {_place_of_the_former(folder).name}."
        )


def _place_of_the_former(folder: Path) -> Path:
    """A free name beside an environment, which is none that ``init`` gives."""
    return next(place for number in count(1) if not (place := folder.with_name(f"{folder.name}.{number}")).exists())


def _globals(proposal: Proposal, env: str, raw: str) -> str:
    roles = proposal.roles
    columns: dict[str, Any] = {"id": roles.id.value, "price": roles.price.value}
    if roles.text:
        columns["text"] = list(roles.text)
    if roles.image.value:
        columns["image"] = roles.image.value
    return (
        f"# Written by 'kedro price-fusion init'; yours to change. Run it: kedro run --env {env}\n"
        f"raw: {flow(raw)}  # where your files are\n"
        f"data: {flow(f'data/{env}')}  # what runs write\n"
        "# What your product files call their columns. Results have your names for id and price.\n"
        f"columns: {flow(columns)}\n"
    )


def _catalog(proposal: Proposal) -> str:
    text = "# Products: with prices (train), and to be predicted (test).\n" + _products(
        proposal, "train", proposal.labelled
    )
    if proposal.unlabelled is None:
        text += (
            "# There was no file of products to be predicted. Once there is one, describe it as test_products, like\n"
            "# train_products.\n\n"
        )
    else:
        text += _products(proposal, "test", proposal.unlabelled)
    for source in proposal.sources:
        if source.test is source.train:
            text += "# Of labelled products and of those to be predicted: each takes its own.\n"
            text += _embeddings(proposal, source.name, "{part}", source.train)
        else:
            text += _embeddings(proposal, source.name, "train", source.train)
            text += _embeddings(proposal, source.name, "test", source.test) if source.test else ""
    return text.rstrip("\n") + "\n"


def _products(proposal: Proposal, part: str, table: FoundTable) -> str:
    """The entry of a table of products."""
    layout, labelled = proposal.roles.layout, part == "train"
    more: dict[str, Any] = {"labelled": labelled}
    if proposal.one_file or (labelled and proposal.without_price):
        more["rows"] = "labelled" if labelled else "unlabelled"
    if table.encoding:
        more["encoding"] = table.encoding
    if layout != Layout():
        more |= {"decimal": layout.decimal} | ({"thousands": layout.thousands} if layout.thousands else {})
    return (
        f"{part}_products:\n  type: price_fusion.datasets.ProductTableDataset\n  filepath: {_raw(proposal, table.path)}\n"
        + "".join(f"  {name}: {flow(value)}\n" for name, value in more.items())
        + "  columns: ${globals:columns}\n  metadata: {kedro-viz: {layer: raw}}\n\n"
    )


def _embeddings(proposal: Proposal, source: str, part: str, found: FoundEmbeddings) -> str:
    more = "".join(f"  {name}: {flow(value)}\n" for name, value in found.entry.items())
    assumed = (
        "# Assumed, as there are as many: row n belongs to product n of the product file.\n" if found.table else ""
    )
    return (
        f'{assumed}"{source}.{part}_embeddings":\n  type: price_fusion.datasets.EmbeddingFilesDataset\n'
        f"  filepath: {_raw(proposal, found.path)}\n{more}  metadata: {{kedro-viz: {{layer: raw}}}}\n\n"
    )


def _parameters(proposal: Proposal) -> str:
    text = f"currency: {flow(proposal.roles.currency.value)}\n\nsources:\n"
    for source in proposal.sources:
        text += (
            f"  {source.name}: {{width: {source.train.width}, group: {flow(source.group)}, structural_columns: 0}}"
            f"  # knows {100 * source.known:.0f} % of the labelled products\n"
        )
    if proposal.numeric or proposal.categorical:
        text += f"  {ATTRIBUTES}:  # columns of your product files; docs/column-sources.md\n    kind: columns\n    group: {ATTRIBUTES}\n"
        text += f"    numeric: {flow(list(proposal.numeric))}\n    categorical: {flow(list(proposal.categorical))}\n"
    if proposal.has_amounts:
        text += "  quantity: {kind: columns, group: quantity, parse: quantity}  # amounts and pack sizes, read from the text\n"
    text += f"\n# Models, the first is the default; each fuses these sources. Another: docs/your-own-variant.md\nvariants: {flow(list(proposal.variants))}\n"
    for variant in proposal.variants:
        text += f"{variant}: {{sources: {flow(list(proposal.source_names))}}}\n"
    if proposal.without_embeddings:
        text += (
            f"\n# {proposal.without_embeddings:,} products with prices are in no file of embeddings: models are trained without them\n"
            "# (docs/missing-sources.md).\ningestion: {unknown_products: drop}\n"
        )
    members = flow([proposal.variants[-1], "kernel_ridge", "neighbours"])
    text += "\n# What kedro run --pipelines ensemble blends.\n"
    return text + f"ensemble: {{presets: {{quick: {{members: {members}, seeds: 1, refits: 5}}}}}}\n"


def _raw(proposal: Proposal, path: Path) -> str:
    if path == proposal.folder:
        return '"${globals:raw}"'
    below = json.dumps(_literal(path.relative_to(proposal.folder).as_posix()), ensure_ascii=False)
    return f'"${{globals:raw}}/{below[1:]}'


def flow(value: Any) -> str:
    """A value as YAML on one line; nothing in it is an interpolation."""
    text: str = yaml.safe_dump(
        _literal(value), default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def _literal(value: Any) -> Any:
    """A value whose texts OmegaConf takes as they are."""
    if isinstance(value, str):
        return value.replace("${", "\\${")
    if isinstance(value, list):
        return [_literal(one) for one in value]
    return {name: _literal(one) for name, one in value.items()} if isinstance(value, dict) else value
