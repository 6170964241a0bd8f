"""`leomix list`, `schema` and `doctor`: what there is, and whether it is well."""

from __future__ import annotations

import typer

from sim.commands.arguments import print_json

UNWELL = 1
"""Exit status of `doctor` where something is wrong."""


def list_command() -> None:
    """List the shipped scenarios, and the known methods, models, data sets and policies."""
    from learning import method_names
    from learning.data import DATASETS
    from learning.methods.nmoe.gates import GATE_TRAINERS
    from learning.policies import POLICIES
    from scenarios import shipped

    rows = [[name, text] for name, text in shipped().items()]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name.ljust(width)}  {text}" for name, text in rows))
    print(f"\nmethods: {', '.join(method_names())}")
    print(f"models: {', '.join(_model_kinds())}, or MODULE:CLASS")
    print(f"data: {', '.join(DATASETS.names())}, or MODULE:FUNCTION")
    print(f"gates of method nmoe: {', '.join(GATE_TRAINERS.names())}")
    print(f"policies of method aligned: {', '.join(POLICIES.names())}")


def _model_kinds() -> list[str]:
    """Kinds of models, shipped and installed; their register would import torch."""
    from importlib.metadata import entry_points

    from scenarios.learning import MODEL_KINDS

    return sorted({*MODEL_KINDS, *(point.name for point in entry_points(group="leomix.models"))})


def schema_command() -> None:
    """Print the JSON schema of scenario files, for editors."""
    from scenarios import schema

    print_json(schema())


def doctor_command() -> None:
    """Check this installation: import names, versions, CUDA."""
    from sim.doctor import report

    lines, well = report()
    print("\n".join(lines))
    if not well:
        raise typer.Exit(UNWELL)
