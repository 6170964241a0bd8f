"""Kill -9 at ten random moments of a run and a sweep; `make soak` kills a hundred times."""

from __future__ import annotations

from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parents[1] / "soak"


@pytest.mark.slow
def test_what_is_killed_and_resumed_is_what_it_would_have_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained runs are killed behind every event by test_resume.py."""
    monkeypatch.syspath_prepend(str(SOAK))
    import kills

    done = kills.campaign(tmp_path, 10, 8, ("timing-only run", "sweep"), a_life=(7,))
    assert done.total() == 10, done
