"""What a page says of the inside of a model and of how it was made."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from price_fusion.evaluation.gate import gate_collapse
from price_fusion.models.checkpoint import CheckpointHeader
from price_fusion.parameters.base import fields_of
from price_fusion.prediction.ensemble import EnsembleManifest
from price_fusion.report.figures import importance
from price_fusion.report.page import Section, Table
from price_fusion.version import __version__

PACKAGES = ("torch", "numpy", "pandas", "kedro", "plotly")
"""Whose versions a page names."""


def inside_variant(
    name: str,
    curves: go.Figure,
    gate_figure: go.Figure,
    gate: Mapping[str, Any],
    importances: Mapping[str, pd.DataFrame | None],
) -> Section:
    """Sources, gate and training of a variant.

    Args:
        name: of the variant.
        curves: its learning curves.
        gate_figure: its gate's weights by price.
        gate: as ``gate_report`` gives it.
        importances: what sources are worth, by what was done to them; None where it has not been made.
    """
    found = {
        how: table
        for how, table in importances.items()
        if table is not None and table["importance_points"].notna().any()
    }
    text = [] if found else [f"Which sources matter: kedro run --pipelines ablate_{name} finds out."]
    return Section(
        "Inside the model",
        text=text,
        warnings=[f"the gate has collapsed: {problem}." for problem in gate_collapse(dict(gate))],
        figures=[*([importance(found)] if found else []), gate_figure, curves],
    )


def inside_ensemble(members: pd.DataFrame) -> Section:
    """Members of an ensemble and their blend, as ``list_members`` gives them."""
    headings = {
        "member": "member",
        "weight": "weight",
        "models": "models",
        "seconds": "training, s",
        "out_of_fold_smape": "out-of-fold SMAPE, %",
        "smape": "SMAPE here, %",
    }
    shown = members[list(headings)].astype(object)
    rows = shown.where(shown.notna(), None).to_numpy().tolist()
    return Section("Inside the model", tables=[Table("Members and their blend", list(headings.values()), rows)])


def making_of_variant(header: CheckpointHeader, history: Sequence[Mapping[str, Any]]) -> Section:
    """How a variant was trained.

    Args:
        header: of its checkpoint.
        history: one record per epoch.
    """
    trained = [
        ("epochs trained", len(history)),
        ("epoch kept", header.epoch),
        ("time of all epochs, s", round(sum(record["seconds"] for record in history), 1)),
        ("trained parameters", header.parameter_counts.get("total")),
        ("trained by price-fusion", header.package_version),
    ]
    configuration = header.model_dump(mode="json", include={"sources", "model", "train"})
    return Section(
        "How it was made",
        tables=[Table("Training", ("of what", "value"), trained), *_origins(configuration, header.data)],
    )


def making_of_ensemble(manifest: EnsembleManifest, configuration: Mapping[str, Any]) -> Section:
    """How an ensemble was blended.

    Args:
        manifest: of the ensemble.
        configuration: of the chosen preset.
    """
    return Section("How it was made", tables=_origins(configuration, manifest.data))


def _origins(configuration: Mapping[str, Any], data: Mapping[str, str]) -> list[Table]:
    return [
        Table(
            "Configuration",
            ("field", "value"),
            [(path, _as_yaml(value)) for path, value in fields_of(configuration).items()],
        ),
        Table("Fingerprints of the data that it was trained on", ("data", "sha256"), sorted(data.items())),
        Table("Versions that wrote this page", ("package", "version"), _versions()),
    ]


def _as_yaml(value: Any) -> str:
    if value is None:
        return "null"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _versions() -> list[tuple[str, str]]:
    own = [("price-fusion", __version__), ("Python", sys.version.split()[0])]
    return own + [(package, version(package)) for package in PACKAGES]
