"""Wiring of ``ingestion``: products, and each source by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline

from price_fusion.data.table import TableDraft
from price_fusion.parameters import ColumnSourceParameters, Source
from price_fusion.pipelines.ingestion.nodes import (
    check_labelled,
    check_labelled_table,
    check_unlabelled,
    check_unlabelled_table,
    prepare_labelled_columns,
    prepare_table,
    prepare_unlabelled_columns,
    sample_labelled,
    sample_unlabelled,
)

TAG = "ingest"
NAMESPACE = "ingestion"
"""Of all nodes from raw files to the products of a model, so that Kedro-Viz shows them as one."""
ALIGNING = (check_labelled_table, check_unlabelled_table)
"""Functions of the nodes that join products (first input) with the table of a source (second input)."""
COMPARING = (check_unlabelled, check_unlabelled_table)
"""Functions of the nodes that compare with what is labelled (last input): None where no run has made that yet."""


def create_pipeline(sources: Mapping[str, Source], part: str) -> Pipeline:
    """Tables of these sources and the sample table.

    Args:
        sources: by name; none: the sample table alone.
        part: ``train`` (labelled) or ``test`` (to be predicted).
    """
    products = f"{part}_products"
    sample = sample_labelled if part == "train" else sample_unlabelled
    nodes = [
        _check(part, products),
        _node(sample, inputs=products, outputs=f"{part}_samples", name=f"sample_{part}"),
    ]
    for name, source in sources.items():
        nodes += [_table(name, source, part), _check_table(name, part, products)]
    return Pipeline(nodes)


def create_partitioned(
    sources: Mapping[str, Source], part: str, tuned_sources: Sequence[str], *, gathered: bool
) -> Pipeline:
    """Products and tables of these sources in partitions, and what of them is brought into memory.

    Args:
        sources: by name.
        part: ``train`` (labelled) or ``test`` (to be predicted).
        tuned_sources: sources that list the ids their encoder was tuned on.
        gathered: whether ``compute.rows_in_memory`` products are brought into memory, and checked, as those of a run without
            partitions are.
    """
    nodes = [_deal_out_products(part, tuned_sources), *(_deal_out(*source, part) for source in sources.items())]
    if gathered:
        nodes += [*_gather_products(part), _check(part, _gathered(part))]
        for name in sources:
            nodes += [_gather_table(name, part), _check_table(name, part, _gathered(part))]
    return Pipeline(nodes)


def reading_gathered(pipeline: Pipeline) -> Pipeline:
    """A pipeline that reads product files, reading the products that were brought into memory instead."""
    files = {f"{part}_products": _gathered(part) for part in ("train", "test")}
    return Pipeline(pipeline, inputs={name: files[name] for name in files if name in pipeline.inputs()})


def _check(part: str, products: str) -> Node:
    """Checks of products; those to be predicted are compared with the labelled ones."""
    labelled = part == "train"
    return _node(
        check_labelled if labelled else check_unlabelled,
        inputs=[products, "params:ingestion", *([] if labelled else ["train_samples"])],
        outputs=f"{part}_data_checks",
        name=f"check_{part}",
    )


def _check_table(source: str, part: str, products: str) -> Node:
    """Likewise of the table of a source, which is compared with its train table."""
    labelled = part == "train"
    compared = [] if labelled else [f"{source}.train_table"]
    return _node(
        check_labelled_table if labelled else check_unlabelled_table,
        inputs=[products, f"{source}.{part}_table", "params:ingestion", *compared],
        outputs=f"{source}.{part}_data_checks",
        name=f"check_{part}_table",
        source=source,
    )


def _table(name: str, source: Source, part: str) -> Node:
    prepare: Callable[..., TableDraft]
    if isinstance(source, ColumnSourceParameters):
        prepare = prepare_labelled_columns if part == "train" else prepare_unlabelled_columns
        made_from = [f"{part}_products", f"params:sources.{name}"]
    else:
        prepare, made_from = prepare_table, [f"{name}.{part}_embeddings", f"params:sources.{name}", "params:ingestion"]
    return _node(prepare, inputs=made_from, outputs=f"{name}.{part}_table", name=f"prepare_{part}_table", source=name)


def _deal_out_products(part: str, tuned_sources: Sequence[str]) -> Node:
    from price_fusion.pipelines.ingestion.partition_nodes import deal_out_labelled, deal_out_unlabelled  # needs pyarrow

    labelled = part == "train"
    inputs = {"files": f"{part}_product_files", "seed": "params:seed", "compute": "params:compute"}
    inputs |= {"spill": "params:spill_folder"} | ({"splitting": "params:splitting"} if labelled else {})
    return _node(
        deal_out_labelled if labelled else deal_out_unlabelled,
        inputs=inputs | ({name: f"{name}.tuned_on_ids" for name in tuned_sources} if labelled else {}),
        outputs=f"{part}_product_partitions",
        name=f"deal_out_{part}_products",
    )


def _deal_out(name: str, source: Source, part: str) -> Node:
    from price_fusion.pipelines.ingestion.partition_nodes import deal_out, read_columns

    parameters = [f"params:sources.{name}", "params:compute"]
    outputs = {"outputs": f"{name}.{part}_partitions", "name": f"deal_out_{part}", "source": name}
    if isinstance(source, ColumnSourceParameters):
        return _node(read_columns, inputs=[f"{part}_product_partitions", *parameters], **outputs)
    parameters.insert(1, "params:ingestion")
    return _node(deal_out, inputs=[f"{name}.{part}_embeddings", *parameters], **outputs)


def _gather_products(part: str) -> list[Node]:
    from price_fusion.pipelines.ingestion.partition_nodes import products_in_memory, sample_in_memory

    products, samples = f"{part}_product_partitions", f"{part}_samples"
    limit = "params:compute.rows_in_memory"
    return [
        _node(sample_in_memory, inputs=[products, limit], outputs=samples, name=f"sample_{part}"),
        _node(
            products_in_memory,
            inputs=[products, samples],
            outputs=_gathered(part),
            name=f"gather_{part}_products",
        ),
    ]


def _gather_table(source: str, part: str) -> Node:
    from price_fusion.pipelines.ingestion.partition_nodes import table_in_memory

    parameters = ["params:ingestion", "params:compute", "params:spill_folder"]
    return _node(
        table_in_memory,
        inputs=[f"{source}.{part}_partitions", f"{part}_samples", *parameters],
        outputs=f"{source}.{part}_table",
        name=f"gather_{part}_table",
        source=source,
    )


def _gathered(part: str) -> str:
    """The products of a part that were brought into memory from partitions."""
    return f"gathered_{part}_products"


def _node(function: Callable[..., Any], *, inputs: Any, outputs: str, name: str, source: str | None = None) -> Node:
    """A node of this stage, in the namespace of a source where it is of one alone."""
    namespace = f"{NAMESPACE}.{source}" if source else NAMESPACE
    return Node(function, inputs=inputs, outputs=outputs, name=name, namespace=namespace, tags=[TAG])
