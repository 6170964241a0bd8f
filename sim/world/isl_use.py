"""Which links between satellites a method sends over, and which methods do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from learning.methods.base import METHODS, MethodType
from scenarios.link import Isl

KEYS = ("within_plane", "between_planes")
"""Keys of `link.isl` that say which satellites have links."""


def idle_links(isl: Isl, method: MethodType, options: Any) -> list[str]:
    """Return the keys of ``isl`` that give links over which the method sends nothing.

    A method that sends from device to device uses all links that there are, and so does any whose
    uploads and downloads travel over them.
    """
    if isl.route == "earliest":
        return []
    on = not method.traits.isl_option or getattr(options, method.traits.isl_option)
    used = KEYS if method.needs.sidelinks else method.traits.uses_isl if on else ()
    return [key for key in KEYS if getattr(isl, key) != "none" and key not in used]


def sends_itself(method: MethodType, options: Any) -> bool:
    """Return whether a method sends over links by itself, from one client to another."""
    on = not method.traits.isl_option or getattr(options, method.traits.isl_option)
    return method.needs.sidelinks or bool(method.traits.uses_isl and on)


def methods_over(keys: Collection[str]) -> str:
    """Return the names of shipped methods that send over links of any of these keys."""
    known = {name: METHODS.find(name) for name in sorted(METHODS.shipped)}
    return ", ".join(
        f"{name} (with learning.options.{one.traits.isl_option})" if one.traits.isl_option else name
        for name, one in known.items()
        if set(keys) & set(one.traits.uses_isl)
    )
