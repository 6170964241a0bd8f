"""Inner names of ``scenarios`` that tests use."""

from scenarios.canonical import kinds_in_order, places_order
from scenarios.errors import ProblemsFound
from scenarios.faults_section import Packets, Uploads
from scenarios.ground_section import Place
from scenarios.learning_section import (
    DATA_KINDS,
    METHODS,
    MODEL_KINDS,
)
from scenarios.link_section import Link
from scenarios.link_side import Downlink, Uplink
from scenarios.overrides import apply_overrides
from scenarios.safe_yaml import (
    MAX_DEPTH,
    MAX_NODES,
    parse_yaml,
)
