"""Where the packages of leomix lie, whether other things have their names, and what adds an extra.

It imports nothing of leomix. ``leomix.py`` loads it by its place, because another package of this
machine may have the name ``sim``.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("statements", "orbit", "channel", "learning", "scenarios", "sim")
HOME = Path(__file__).resolve().parents[2]
"""The folder that holds all packages, and ``leomix.py``."""


def foreign_packages(packages: Iterable[str] = PACKAGES) -> list[str]:
    """Describe packages of ours whose import name belongs to something else on this machine."""
    complaints = []
    for name in packages:
        spec = find_spec(name)
        place = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if place is None:
            complaints.append(f"import {name}: not found; install leomix anew")
        elif place.parent.parent != HOME:
            complaints.append(
                f"import {name}: comes from {place.parent}, not from leomix ({HOME / name}); "
                "rename that folder, or use another current folder or environment"
            )
    return complaints


def is_clone(folder: Path) -> bool:
    """Return whether a folder is a clone of leomix: it has all of its packages, and their setup."""
    setup = folder / "setup.cfg"
    modules = [folder / "leomix.py", *(folder / name / "__init__.py" for name in PACKAGES)]
    if not all(place.is_file() for place in (setup, *modules)):
        return False
    lines = setup.read_text(encoding="utf-8", errors="replace").splitlines()
    return "name = leomix" in lines


FOR_EXTRA = {"flower": "constraints-flower.txt"}
"""Files of a clone with versions that an extra needs."""


def install_line(extra: str) -> str:
    """Return the command that adds an extra to leomix, from where it was installed.

    From a clone or a file that is there the command names its place, else the name on the index.
    """
    place = HOME if is_clone(HOME) else _installed_from()
    if place is None:
        return f'pip install "leomix[{extra}]"'
    constraints = place / FOR_EXTRA.get(extra, "-")
    using = f'-c "{constraints}" ' if constraints.is_file() else ""
    source = "." if place == Path.cwd() else str(place)
    return f'pip install {using}"{source}[{extra}]"'


def _installed_from() -> Path | None:
    """Return the folder or file that pip has installed leomix from, if it is still there."""
    # Every command imports this module, and few ask.
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        told = distribution("leomix").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    url = urlsplit(json.loads(told)["url"] if told else "")
    place = Path(url2pathname(url.path)) if url.scheme == "file" else None
    return place if place is not None and place.exists() else None
