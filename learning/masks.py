"""What a masked gate gives to the experts that are not the cluster's own, equation (43)."""

from __future__ import annotations

import math

MASKS = {"-inf": -math.inf, "zero": 0.0}
"""Logits by the name of the mask: out of reach, or the paper's literal zero."""
