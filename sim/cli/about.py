"""`leomix list` and `doctor`."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.output import ExitCode, print_json


def list_command(
    *,
    schema: Annotated[
        bool, typer.Option("--schema", help="print the JSON schema of scenarios, for editors")
    ] = False,
) -> None:
    """List the shipped scenarios, and the known methods, models, data sets and policies."""
    if schema:
        print_json(schema_of_files())
        return
    from learning import method_names
    from learning.architecture.kinds import KINDS
    from learning.data import DATASETS
    from learning.registry import installed
    from scenarios import shipped
    from scenarios.presets import PROCESSORS
    from sim.analysis.methods import known_method

    found = shipped()
    width = max(map(len, found))
    print("\n".join(f"{name.ljust(width)}  {text}" for name, text in found.items()))
    print(f"\nmethods: {', '.join(method_names())}, or MODULE:CLASS")
    # Their register would import torch.
    kinds = {*KINDS, *installed("leomix.models")}
    print(f"models: {', '.join(sorted(kinds))}, or MODULE:CLASS")
    print(f"data: {', '.join(DATASETS.names())}, or MODULE:FUNCTION")
    for name in method_names():
        method = known_method(name)
        for what, register in method.registers.items() if method else ():
            print(f"{what} of method {name}: {', '.join(register.names())}")
    rates = (f"{name} ({one['tflops']:.3g} TFLOP/s)" for name, one in PROCESSORS.items())
    print(f"processors (compute.processor): {', '.join(rates)}")


def schema_of_files() -> dict[str, Any]:
    """Return the schema of scenario files with the names and options of what is shipped."""
    from learning.architecture.kinds import KINDS
    from learning.data import DATASETS
    from learning.methods.base import METHODS
    from scenarios import schema

    kinds = {"Model.kind": KINDS, "CountedSizes.kind": KINDS, "Data.kind": DATASETS.shipped}
    options = {name: METHODS.find(name).Options for name in METHODS.shipped}
    return schema(options, {"Learning.method": options, **kinds})


def doctor_command() -> None:
    """Check this installation: import names, shadowing files, versions, devices, the cache."""
    from learning.hardware import describe
    from sim.execution.versions import installed, versions
    from sim.process.installation import HOME, PACKAGES, foreign_packages, is_clone

    complaints = [*foreign_packages(), *shadows()]
    lines = [f"{name} {number}" for name, number in versions().items()]
    lacking = [name for name, number in installed().items() if number is None]
    missing = [f"missing: {name} {versions()[name]}" for name in lacking]
    own = complaints or [f"import names are leomix's own: {', '.join(PACKAGES)}"]
    here = Path.cwd()
    if is_clone(here) and here != HOME:
        own = [*own, f"{here} is a clone of leomix: Python, started in it, takes it, not {HOME}"]
    try:
        cache = cache_line()
    except ValueError as error:  # LEOMIX_CACHE names something else
        cache = str(error)
        complaints.append(cache)
    print("\n".join([*lines, *missing, *own, describe(), cache]))
    if complaints or missing:
        raise typer.Exit(ExitCode.FAILED)


def cache_line() -> str:
    """Say where the cache is, how large, and how to empty it; ValueError for what is no cache."""
    from sim.execution.cache import BOUND_BYTES, VARIABLE, cache_folder, size_bytes
    from sim.formatting import data_size

    folder = cache_folder()
    if folder is None:
        return f"cache: off, by {VARIABLE}=off"
    size = f"{data_size(size_bytes(folder))} of {data_size(BOUND_BYTES)} at most"
    return f"cache: {folder}, {size}; to empty it, delete the folder"


def shadows() -> Iterator[str]:
    """Say which files here Python, started in this folder, takes for packages that leomix needs."""
    from importlib.machinery import PathFinder
    from importlib.metadata import packages_distributions, requires

    from sim.process.installation import HOME, PACKAGES, is_clone

    ours = {"leomix", *PACKAGES}
    needs = {re.split(r"[^\w.-]", line)[0].lower() for line in requires("leomix") or ()}
    others = packages_distributions().items()
    names = {name for name, owners in others if needs & {owner.lower() for owner in owners}}
    for name in sorted(names - ours if is_clone(Path.cwd()) else names | ours):
        spec = PathFinder.find_spec(name, [os.getcwd()])
        place = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if place is not None and HOME not in place.parents:
            yield f"{place}: has the name of a package that leomix imports, {name}; rename it"
