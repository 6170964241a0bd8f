"""Points of a sweep: their scenarios, seeds and digests, and what is refused before any runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import scenarios
from tests.kit import small
from tests.kit.network import InputError
from tests.kit.sweeps import Items, Plan, Point, _written, digest_of, read_pair, read_pairs

TIMING = {"learning.train": False}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("points") / "tiny.yaml"
    path.write_text(yaml.safe_dump(small.SLOTS))
    return str(path)


def made(file: str, *pairs: str, **more: Any) -> list[Point]:
    overrides = {**TIMING, **more.pop("overrides", {})}
    return list(Plan(file, overrides, read_pairs(pairs), **more).points())


def test_a_point_is_the_scenario_that_a_run_would_load(file: str) -> None:
    for point in made(file, "stop.cycles=2:4:1", "learning.method=emsfl,synchronous"):
        loaded = scenarios.load(file, {**TIMING, **point.values})
        assert scenarios.load(point.scenario, point.overrides) == loaded
        assert digest_of(loaded) == point.digest
        assert Point.from_json(point.as_json()) == point


def test_replications_have_seeds_of_their_own(file: str) -> None:
    found = made(file, "stop.cycles=2,3", replications=3)
    assert [(p.number, p.values["stop.cycles"], p.replication, p.seed) for p in found] == [
        *((0, 2, 0, 3), (1, 2, 1, 4), (2, 2, 2, 5)),
        *((3, 3, 0, 3), (4, 3, 1, 4), (5, 3, 2, 5)),
    ]
    for point in found:
        assert scenarios.load(file, point.overrides).seed == point.seed
    again = made(file, "stop.cycles=2,3", replications=3, overrides={"seed": 7})
    assert [point.seed for point in again] == [7, 8, 9, 7, 8, 9]


def test_equal_scenarios_have_one_digest_however_they_are_said(file: str, tmp_path: Path) -> None:
    (one,) = made(file, "stop.cycles=3", overrides={"seed": 3})
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({**small.SLOTS, "description": "another text"}))
    assert made(str(other), "seed=3,4,3") != []
    digests = [point.digest for point in made(str(other), "seed=3,4,3")]
    assert digests[0] == digests[2] == one.digest
    assert digests[1] != one.digest
    assert made(file, "link.uplink.eirp_dbw=1")[0].digest == (
        made(file, "link.uplink.eirp_dbw=1.0")[0].digest
    )


def test_a_digest_says_what_files_hold_and_not_where_they_lie(tmp_path: Path) -> None:
    elements = scenarios.element_file(scenarios.load("quickstart")).read_text()
    said = yaml.safe_load(scenarios.shipped_path("quickstart").read_text())
    said["orbit"]["path"] = "sky.tle"
    found = {}
    for name, text in (("a", elements), ("b", elements), ("c", elements + "\n")):
        place = tmp_path / name
        place.mkdir()
        (place / "sky.tle").write_text(text)
        (place / "here.yaml").write_text(yaml.safe_dump(said))
        found[name] = made(str(place / "here.yaml"), "stop.days=1")[0].digest
    assert found["a"] == found["b"] != found["c"]


def test_text_stays_text(file: str) -> None:
    _, spec = read_pair("description='550','[1, 2]','\"x\": y',null-ish")
    assert isinstance(spec, Items)
    # Of all keys that take any text, none can be swept without more.
    shown = [scenarios.load(file, {"description": _written(v)}).description for v in spec.values]
    assert shown == ["550", "[1, 2]", '"x": y', "null-ish"]


def test_random_points_are_within_their_range_and_do_not_hang_on_the_order(file: str) -> None:
    pairs = ["learning.step_size=0:0.5", "link.uplink.eirp_dbw=-10:10"]
    found = made(file, *pairs, sampling="random", samples=8)
    assert all(0 < point.values["learning.step_size"] < 0.5 for point in found)
    again = made(file, *pairs[::-1], sampling="random", samples=8)
    assert [point.digest for point in again] == [point.digest for point in found]


WRONG: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "unknown": (["orbit.altitud_km=500"], {}, r"^-p orbit\.altitud_km: is not a known key"),
    "unused": (["orbit.altitude_km=500"], {}, r"^-p orbit\.altitude_km: is not used by .*'slots'"),
    "inside": (["link.uplink={eirp_db: 1}"], {}, r"^-p link\.uplink\.eirp_db: .*did you mean"),
    "value": (["stop.cycles=2,x"], {}, r"^-p stop\.cycles: got 'x'; must be a whole number"),
    "method": (["learning.method=emsfl,emsfk"], {}, r"^-p learning\.method: .*did you mean"),
    "option": (["learning.options.x=1"], {}, r"^-p learning\.options\.x: .*threshold"),
    "elsewhere": (["stop.cycles=2"], {"overrides": {"seed": -1}}, r"^--set seed.*stop\.cycles=2\)"),
    "twice": (["stop.cycles=2"], {"overrides": {"stop.cycles": 3}}, r"^-p stop\.cycles: .*--set"),
    "seed": (["seed=2"], {"overrides": {"seed": 3}}, r"^-p seed: .*--seed"),
    "undone": (["link={}", "link.uplink.eirp_dbw=1"], {}, r"^-p link: would undo link\.uplink"),
    "seeds": (["seed=1,2"], {"replications": 2}, r"^-p seed: replications"),
    "none": (["stop.cycles=2"], {"replications": 0}, r"--replications 0"),
    "too far": (["stop.cycles=2"], {"replications": 2, "overrides": {"seed": 2**63 - 1}}, r"seed"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_sweep_is_one_line_with_its_key(file: str, what: str) -> None:
    pairs, more, line = WRONG[what]
    with pytest.raises(InputError, match=line) as found:
        made(file, *pairs, **more)
    assert "\n" not in str(found.value)


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"^-p a\.b: is given twice"):
        read_pairs(["a.b=1", "c=2", "a.b=3"])
