"""A folder for each test that flies code which it writes."""

import sys

import pytest


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of its own, with a cache of its own; what is imported there is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path
