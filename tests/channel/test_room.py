"""The room from outside: light to import, complete, and alone."""

import subprocess
import sys
from pathlib import Path

import pytest

import channel

ROOT = Path(channel.__file__).parents[1]


def modules_loaded_by(code: str) -> set[str]:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_the_room_loads_no_heavy_library():
    loaded = modules_loaded_by("import channel")
    assert not loaded & {"numpy", "scipy", "pandas", "torch", "matplotlib", "simpy", "skyfield"}


def test_the_plain_functions_load_no_heavy_library():
    code = (
        "import channel; [getattr(channel, name) for name in channel.__all__]; "
        "link = channel.Link(2e9, 1e6, 0.0, 0.0, fading='rician'); "
        "channel.link_budget_terms(link, [30.0], altitude_m=6e5)"
    )
    loaded = modules_loaded_by(code)
    assert "numpy" in loaded
    assert not loaded & {"pandas", "torch", "matplotlib", "simpy", "skyfield"}
    assert not loaded & {"orbit", "learning", "scenarios", "sim"}


def test_every_public_name_is_there_and_documented():
    assert set(channel.__all__) <= set(dir(channel))
    assert all(getattr(channel, name).__doc__ for name in channel.__all__)
    plain = [name for name in channel.__all__ if not name.isupper()]
    assert all(callable(getattr(channel, name)) for name in plain)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'rayleigh'"):
        channel.rayleigh  # noqa: B018
