"""Presets of links, processors and terminals in user units, as tables/presets.yaml has them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from scenarios.parsing import shipped_table

LinkValues = dict[str, float | str]
Side = Literal["uplink", "downlink"]
_TABLES = shipped_table(Path(__file__).with_name("tables").joinpath("presets.yaml").read_bytes())
PRESETS: Final[Mapping[Side, Mapping[str, LinkValues]]] = _TABLES["links"]
BANDS: Final[Mapping[str, Mapping[Side, LinkValues]]] = _TABLES["bands"]
"""What the band of a dish adds to preset `station` in each direction."""
NEGLECTS_DOWNLINK: Final = frozenset[str](_TABLES["neglects_downlink"])
BEAMWIDTH_DEG: Final[Mapping[str, float]] = _TABLES["beamwidth_deg"]
PROCESSORS: Final[Mapping[str, Mapping[str, float]]] = _TABLES["processors"]
SIDELINK: Final[Mapping[str, float]] = _TABLES["sidelink"]
