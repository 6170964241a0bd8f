"""What the last bits of a run hang on beside its scenario, for the manifest."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.provenance import SETTINGS, processor

if TYPE_CHECKING:
    from learning.learner import Learner

NAME = "model name"


def determinism_of(learner: Learner) -> dict[str, Any]:
    """Return, as JSON, what may make another ``trace_sha256`` of the same scenario.

    ``device`` is what tensors were computed on, None in a timing-only run; the versions of the
    libraries stand in the manifest beside this. docs/determinism.md says what each may change.
    """
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "instructions": _instructions(),
        "device": learner.device,
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


def _processor() -> str:
    """What the processor is called."""
    named = [line for line in processor() if line.startswith(NAME)]
    return named[0].partition(":")[2].strip() if named else platform.processor()


def _instructions() -> list[str]:
    """The sets of instructions that numpy uses here."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]
    return [*found["baseline"], *found.get("found", [])]  # left out where there are none
