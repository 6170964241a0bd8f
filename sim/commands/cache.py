"""`leomix cache`: what runs share, where it lies, and an end to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.commands.arguments import Json, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping


def cache_command(
    clear: Annotated[bool, typer.Option("--clear", help="remove all of it")] = False,
    json_: Json = False,
) -> None:
    """Show what runs share: results of training, contact windows; LEOMIX_CACHE says where."""
    from sim.cache import cache_folder, clear_cache, contents

    folder = cache_folder()
    found = clear_cache(folder) if clear else contents(folder)
    if json_:
        print_json({**found, "cleared": clear})
    else:
        print(_text(found, clear))


def _text(found: Mapping[str, Any], cleared: bool) -> str:
    from sim.units_text import data_size, table

    rows = [
        [kind, f"{row['entries']:,}", data_size(row["bytes"]), _when(row["last_used_s"])]
        for kind, row in found["kinds"].items()
    ]
    end = "removed" if cleared else f"of {data_size(found['bound_bytes'])} at most"
    return "\n".join(
        [
            f"folder  {found['folder']}",
            f"size    {data_size(found['bytes'])} {end}",
            table(["", "entries", "size", "last used"], rows),
        ]
    )


def _when(used_s: float | None) -> str:
    from datetime import UTC, datetime

    if used_s is None:
        return "-"
    return f"{datetime.fromtimestamp(used_s, UTC):%Y-%m-%d %H:%MZ}"
