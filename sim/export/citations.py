"""What a paper that shows a run should cite."""

import re
from collections.abc import Mapping
from typing import Any

from sim.files import packaged


def citations(manifest: Mapping[str, Any]) -> str:
    """Return BibTeX of leomix and of what a run took its method, orbits, links and data from.

    ``citations.bib`` says before each entry what it is for.
    """
    scenario = manifest["scenario"]
    orbit, link, learning = scenario["orbit"], scenario["link"], scenario["learning"]
    used = {"every run", f"method {manifest['method']}", f"data {learning['data']['kind']}"}
    if orbit["source"] not in ("slots", "contacts"):
        used |= {f"propagation {orbit.get('propagation') or 'sgp4'}", f"preset {link['preset']}"}
    sides = [link[side] for side in ("uplink", "downlink") if isinstance(link[side], dict)]
    used |= {f"{key} {side[key]}" for side in sides for key in ("rate", "atmosphere")}
    used |= {"environment"} if link["environment"] else set()
    found = []
    for entry in packaged("sim.export", "citations.bib").split("% for: ")[1:]:
        heads, _, bibtex = entry.partition("\n")
        kind, _, names = heads.partition(" ")
        if used & {heads, *(f"{kind} {name}" for name in names.split(", "))}:
            found.append(bibtex)
    known = {"VERSION": manifest["versions"]["leomix"], "TRACE": manifest["trace_sha256"]}
    return re.sub("|".join(known), lambda word: str(known[word[0]]), "\n".join(found))
