"""Inner names of ``scenarios`` that tests use."""

from scenarios.faults import Packets, Uploads
from scenarios.parsing import MAX_DEPTH, MAX_NODES, parse_yaml
