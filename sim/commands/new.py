"""`leomix new`."""

from __future__ import annotations

from typing import Annotated

import typer


def new_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="writes NAME.yaml")],
) -> None:
    """Write a first scenario of your own, with comments at what to edit."""
    from sim.scaffold import write_scenario

    path, schema = write_scenario(name)
    print(f"wrote {path}, which runs as it is, and {schema} for editors that complete keys")
    print(f"next:  leomix run {path}")
    print(f"then:  edit the places marked [1] to [4] in {path}, and leomix validate {path}")
