"""Details that no other test would miss: found by changing the code and waiting for a failure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import orbit
from tests.kit.orbit import Failure

ONE = "1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  999"
TWO = "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.4957024858203"


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        ("15.4957", "18.5000", r"mean motion 18\.50000248 is outside 1e-05 to 18"),
        ("331.8814", "400.0000", r"right ascension of the node 400\.0000 is outside 0 to 360"),
    ],
)
def test_each_figure_is_read_with_all_its_digits(there: str, instead: str, said: str) -> None:
    two = TWO.replace(there, instead)
    text = "\n".join(line + str(_checksum(line)) for line in (ONE, two))
    with pytest.raises(ValueError, match=said):
        orbit.parse_satellites(text)


def _checksum(line: str) -> int:
    return (sum(int(c) for c in line if c.isdigit()) + line.count("-")) % 10


def test_a_failure_that_begins_within_the_span_lasts_from_its_first_to_its_last_second() -> None:
    first_utc = datetime(2026, 8, 22, 12, 5, tzinfo=UTC)
    failure = Failure(0, "FALLING", 300.0, 360.0, False, "it has decayed", first_utc)
    assert "from 2026-08-22T12:05:00Z to 2026-08-22T12:06:00Z (it has decayed)" in str(failure)
