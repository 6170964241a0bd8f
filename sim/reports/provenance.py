"""What a run came from: scenario, versions, hashes."""

from __future__ import annotations

import yaml

from sim.reports.page import Block, Code, Facts
from sim.reports.reading import RunData

HASHES = ("identity", "trace_sha256", "timing_sha256")


def blocks(run: RunData) -> list[Block]:
    """Return the scenario as YAML, versions of libraries, and hashes of the traces."""
    manifest = run.manifest
    versions = [[name, str(value)] for name, value in manifest.get("versions", {}).items()]
    hashes = [[name, str(manifest.get(name))] for name in HASHES]
    said = _said(manifest["scenario"])
    return [
        Facts("Hashes and versions", [*hashes, *versions]),
        Code("What the scenario says (keys without a value are left out)", _yaml(said)),
    ]


def _yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    return text


def _said(value: object) -> object:
    """Leave out keys that say nothing."""
    if not isinstance(value, dict):
        return value
    inner = ((key, _said(part)) for key, part in value.items())
    return {key: part for key, part in inner if part not in (None, {}, [])}
