"""The packages from outside: cheap to open, complete, and no dearer in use than they need to be."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = ("orbit", "channel", "learning", "scenarios", "sim")
HEAVY = {
    *("numpy", "scipy", "pandas", "torch", "matplotlib", "simpy", "skyfield", "sgp4", "sklearn"),
    *("transformers", "peft", "pyarrow", "pydantic", "yaml", "rich", "typer"),
}
ORBIT = """from datetime import datetime, timedelta, timezone
t = datetime(2026, 8, 22, tzinfo=timezone.utc)
s = orbit.circular_satellite('c', 600, 53, 0, 0, t)
orbit.contact_windows([s], [orbit.Site('a', 0, 0)], t, t + timedelta(days=1), 10)"""
CHANNEL = """link = channel.Link(2e9, 1e6, 0.0, 0.0, fading='rician')
channel.link_budget_terms(link, [30.0], altitude_m=6e5)"""
LEARNING = "[learning.find_method(name) for name in learning.method_names()]"
# Importing itur turns numpy's warnings off, which is undone.
ITU = """import importlib.util, numpy
before = numpy.geterr()
if importlib.util.find_spec('itur'): channel.itu_attenuation(48.0, 11.0, 500.0, 2e9, 1.0)
assert numpy.geterr() == before"""


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_there_and_documented_and_an_unknown_one_is_an_attribute_error(package):
    module = import_module(package)
    assert len(set(module.__all__)) == len(module.__all__) > 0
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        value = getattr(module, name)
        assert value.__doc__, name
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__.partition(".")[0] == package, name
    with pytest.raises(AttributeError, match=f"{package}'?.* attribute '?nothing"):
        module.nothing  # noqa: B018


@pytest.mark.process
@pytest.mark.parametrize(
    ("package", "code", "needs"),
    [
        *((package, f"dir({package}); {package}.__all__", set()) for package in PACKAGES),
        ("scenarios", "scenarios.load('quickstart')", {"pydantic", "yaml"}),
        ("channel", CHANNEL, {"numpy", "scipy"}),
        ("channel", ITU, HEAVY),
        ("orbit", ORBIT, {"numpy", "sgp4", "skyfield"}),
        ("learning", LEARNING, {"numpy"}),
    ],
)
def test_opening_and_using_a_package_loads_what_it_needs_and_no_other_package(package, code, needs):
    script = f"import {package}\n{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & HEAVY <= needs
    assert loaded & set(PACKAGES) == {package}
