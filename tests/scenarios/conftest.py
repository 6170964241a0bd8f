"""A small scenario that is right, and the one line that a wrong one gets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scenarios

CIRCULAR = """\
start: 2026-08-22T00:00:00Z
stop: {days: 1}
orbit:
  source: circular
  altitude_km: 600
  inclination_deg: 97.8
ground:
  clusters:
    - {name: Munich, latitude_deg: 48.1, longitude_deg: 11.6, devices: 5}
    - {name: Bern, latitude_deg: 46.9, longitude_deg: 7.4}
"""

SLOTS = """\
stop: {cycles: 4}
orbit: {source: slots}
link: {preset: paper}
ground:
  clusters:
    - {name: A}
    - {name: B}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a scenario file and return its path."""

    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def circular() -> str:
    """A valid scenario on a circular orbit."""
    return CIRCULAR


@pytest.fixture
def slots() -> str:
    """A valid scenario in idealised slots."""
    return SLOTS


@pytest.fixture
def refusal(write: Callable[[str | bytes], Path]) -> Callable[..., str]:
    """Load a text that must be refused, and return the message without the folder of the file."""

    def message(content: str | bytes, overrides: dict[str, Any] | None = None) -> str:
        path = write(content)
        with pytest.raises(scenarios.ScenarioError) as caught:
            scenarios.load(path, overrides)
        text = str(caught.value)
        assert len(text.splitlines()) == 1
        return text.replace(f"{path.parent}/", "")

    return message
