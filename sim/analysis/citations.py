"""What a paper that shows runs should cite."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import PurePath
from typing import Any

from sim.files import packaged

DIGITS = 16
"""Digits of the digest of several traces."""


def citations(manifests: Sequence[Mapping[str, Any]]) -> str:
    """Return BibTeX of leomix and of what runs took their methods, orbits, links and data from.

    ``citations.bib`` says before each entry what it is for. Files of data are recognised by their
    names; what is not recognised, and published weights, are named in lines of their own, which
    BibTeX skips.
    """
    used = {one for manifest in manifests for one in _used(manifest)}
    files = sorted({file for manifest in manifests for file in _files(manifest)})
    known = {_stem(file) for file in files}
    used |= {f"file {stem}" for stem in known}
    found: list[str] = []
    recognised: set[str] = set()
    for heads, bibtex in _entries():
        kind, _, names = heads.partition(" ")
        own = {heads, *(f"{kind} {name}" for name in names.split(", "))}
        if used & own:
            found.append(bibtex)
            recognised |= used & own
    others = [file for file in files if f"file {_stem(file)}" not in recognised]
    found += [f"Cite where {file} comes from: leomix does not know it.\n" for file in others]
    words = _words(manifests)
    return re.sub("|".join(words), lambda word: words[word[0]], "\n".join(found))


def _entries() -> Iterator[tuple[str, str]]:
    """Yield what each entry is for, and its BibTeX."""
    for entry in packaged("sim.analysis", "citations.bib").split("% for: ")[1:]:
        heads, _, bibtex = entry.partition("\n")
        yield heads, bibtex


def _used(manifest: Mapping[str, Any]) -> Iterator[str]:
    scenario = manifest["scenario"]
    orbit = scenario["orbit"]
    link = scenario["link"]
    learning = scenario["learning"]
    yield from ("every run", f"method {manifest['method']}")
    if learning.get("train", True):
        yield f"data {learning['data']['kind']}"
    if orbit["source"] not in ("slots", "contacts"):
        yield f"propagation {orbit.get('propagation') or 'sgp4'}"
        yield f"preset {link['preset']}"
    for side in ("uplink", "downlink"):
        if isinstance(link[side], dict):
            yield from (f"{key} {link[side][key]}" for key in ("rate", "atmosphere"))
    if link["environment"]:
        yield "environment"


def _files(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files of data and the folders of weights that a run has learnt from."""
    learning = manifest["scenario"]["learning"]
    if not learning.get("train", True):
        return
    data = learning["data"]
    yield from filter(None, (data.get("path"), *(data.get("paths") or {}).values()))
    yield from map(str, learning["model"].get("checkpoints") or ())


def _stem(file: str) -> str:
    return PurePath(file).name.partition(".")[0].lower()


def _words(manifests: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what stands for the words in capitals of the entry of leomix."""
    versions = sorted({str(manifest["versions"]["leomix"]) for manifest in manifests})
    traces = sorted({str(manifest["trace_sha256"]) for manifest in manifests})
    if len(traces) == 1:
        said = f"trace {traces[0]}"
    else:
        digest = hashlib.sha256("\n".join(traces).encode()).hexdigest()[:DIGITS]
        said = f"{len(traces)} runs, sha256 of their sorted traces {digest}"
    url = _url()
    return {
        "VERSION": " and ".join(versions),
        "TRACES": said,
        "  URL,\n": f"  url    = {{{url}}},\n" if url else "",
    }


def _url() -> str:
    """Return where leomix comes from, as its installed package says; empty if it says nothing."""
    try:
        about = metadata.metadata("leomix")
    except metadata.PackageNotFoundError:
        return ""
    named = [one.partition(", ")[2] for one in about.get_all("Project-URL") or ()]
    return str(next(iter([*named, *filter(None, about.get_all("Home-page") or ())]), ""))
