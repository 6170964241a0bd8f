"""`leomix show` and `leomix compare`."""

from __future__ import annotations

from typing import Any

from sim.commands.arguments import Json, RunFolder, RunFolders, print_json

MOST_CLIENTS = 20
"""Clients up to which `show` prints the gating pattern."""


def show_command(run: RunFolder, json_: Json = False) -> None:
    """Show the summary of a run."""
    from sim.as_written import as_written
    from sim.comparison import read_run
    from sim.text import summary_text

    with as_written([run]):
        found = read_run(run)
        if json_:
            print_json(found["summary"] | {"gating_pattern": found["gating_pattern"]})
        else:
            print(summary_text(found["summary"]))
            _print_pattern(found["gating_pattern"])


def compare_command(runs: RunFolders, json_: Json = False) -> None:
    """Compare runs; those that differ only in their seed are one group."""
    from sim.as_written import as_written
    from sim.comparison import compare
    from sim.text import comparison_text

    with as_written(runs):
        comparison = compare(runs)
        if json_:
            print_json(comparison)
        else:
            print(comparison_text(comparison))


def _print_pattern(found: dict[str, Any] | None) -> None:
    """Show who asks whom, where there are few enough to be read."""
    from sim.system_text import pattern_text

    if found is not None and len(found["clients"]) <= MOST_CLIENTS:
        print(f"\n{pattern_text(found['clients'], found['shares'])}")
