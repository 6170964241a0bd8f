"""Who may sweep a folder at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.network import InputError
from tests.kit.sweeps import among, locked


def test_shards_of_one_division_go_together(tmp_path: Path) -> None:
    with among(tmp_path, 2), among(tmp_path, 2):
        pass


def test_another_division_waits_until_the_first_is_done(tmp_path: Path) -> None:
    with (
        among(tmp_path, 2),
        pytest.raises(InputError, match="is being swept in 2 shards at this moment, not 3"),
        among(tmp_path, 3),
    ):
        pass
    with among(tmp_path, 3):
        pass


def test_a_part_is_one_supervisors(tmp_path: Path) -> None:
    with (
        locked(tmp_path, "shard-1-of-1", 0.0),
        locked(tmp_path, "shard-2-of-2", 0.0),
        pytest.raises(InputError, match="is being swept by another process"),
        locked(tmp_path, "shard-1-of-1", 0.0),
    ):
        pass
