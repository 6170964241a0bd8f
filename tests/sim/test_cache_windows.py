"""Contact windows that are kept: the very same ones, for the very same question."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import orbit
import sim
from tests.kit.network import Sought, finding
from tests.kit.records import Shelf, WindowCache, key_of, windows
from tests.kit.small import orbit as orbit_scenario

START = datetime(2026, 8, 22, tzinfo=UTC)


def sought(**changes: object) -> Sought:
    satellites = orbit.walker_delta(600, 60, 3, 3, 1, START, 0.0, 0.0)
    sites = [orbit.Site("a", 50.0, 10.0), orbit.Site("b", -20.0, 100.0, 300.0, 5.0)]
    whole = Sought(satellites, sites, START, START + timedelta(days=1), 10.0)
    return replace(whole, **changes)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep windows however quickly they are found."""
    monkeypatch.setattr(windows, "WORTH_KEEPING_S", 0.0)


def same(one: finding.Found, other: finding.Found) -> bool:
    columns = [field.name for field in fields(orbit.ContactWindows)]
    pairs = [(getattr(one[0], name), getattr(other[0], name)) for name in columns]
    return one[1] == other[1] and all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs
    )


@pytest.mark.usefixtures("always")
def test_windows_are_read_as_they_were_found(tmp_path: Path) -> None:
    found = finding.find(sought())
    assert len(found[0]) > 10
    for used in ("found", "read"):
        cache = WindowCache(Shelf(tmp_path))
        assert same(cache.find(sought()), found)
        assert cache.used == used


def test_a_quick_search_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WORTH_KEEPING_S", 60.0)
    cache = WindowCache(Shelf(tmp_path))
    assert len(cache.find(sought())[0])
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.usefixtures("always")
def test_lines_about_failing_satellites_are_kept_too(tmp_path: Path) -> None:
    """A satellite so low, with so much drag, that SGP4 gives it up within days."""
    low = orbit.keplerian_satellite(
        "falling", START, semi_major_axis_km=6560.0, inclination_deg=60.0, bstar=0.02
    )
    falling = sought(satellites=[low], end=START + timedelta(days=12))
    found = finding.find(falling)
    assert "falling" in found[1][0]
    for _ in range(2):
        assert same(WindowCache(Shelf(tmp_path)).find(falling), found)


def test_every_part_of_the_question_counts() -> None:
    one = sought()
    moved = orbit.walker_delta(600.001, 60, 3, 3, 1, START, 0.0, 0.0)
    renamed = [replace(one.satellites[0], name="other"), *one.satellites[1:]]
    others = [
        sought(satellites=moved),
        sought(satellites=renamed),
        sought(satellites=list(reversed(one.satellites))),
        sought(satellites=one.satellites[:2]),
        sought(sites=one.sites[:1]),
        sought(sites=[one.sites[0], replace(one.sites[1], min_elevation_deg=None)]),
        sought(sites=[one.sites[0], replace(one.sites[1], altitude_m=301.0)]),
        sought(start=START + timedelta(microseconds=1)),
        sought(end=one.end + timedelta(seconds=1)),
        sought(min_elevation_deg=10.5),
    ]
    keys = {key_of(question) for question in (one, *others)}
    assert len(keys) == 1 + len(others)
    assert key_of(sought()) == key_of(one)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_windows_that_cannot_be_read_are_found_again(data: bytes, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    name = f"{windows.FOLDER}/{key_of(sought())}{windows.SUFFIX}"
    shelf.write(name, data)  # well sealed: somebody else's format
    found = WindowCache(shelf).find(sought())
    assert same(found, finding.find(sought()))
    assert same(WindowCache(Shelf(tmp_path)).find(sought()), found)


@pytest.mark.usefixtures("always")
def test_a_run_by_kept_windows_is_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path))
    timed = orbit_scenario(learning={"train": False})
    plain = sim.run(timed).manifest
    for used in ("found", "read"):
        manifest = sim.run(timed, cache=True).manifest
        assert manifest["cache"]["contact_windows"] == used
        assert manifest["trace_sha256"] == plain["trace_sha256"]
        assert manifest["identity"] == plain["identity"]


@pytest.mark.parametrize("element", windows.ELEMENTS)
def test_every_element_of_a_satellite_is_in_the_key(element: str) -> None:
    class Model:
        """A satellite's model with one element a little different."""

        def __init__(self, model: object) -> None:
            self.operationmode = model.operationmode  # type: ignore[attr-defined]
            for name in windows.ELEMENTS:
                setattr(self, name, getattr(model, name) + (1e-9 if name == element else 0.0))

    first, *others = sought().satellites
    changed = replace(first, model=Model(first.model))
    assert key_of(sought(satellites=[changed, *others])) != key_of(sought())


def test_names_and_versions_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = sought().satellites
    numbered = replace(first, norad_id=first.norad_id + 1)
    assert key_of(sought(satellites=[numbered, *others])) != key_of(sought())
    before = key_of(sought())
    monkeypatch.setattr(windows, "version", lambda name: "0")
    assert key_of(sought()) != before
