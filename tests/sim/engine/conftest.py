"""What tests of whole runs share."""

import pytest

from tests.docs.pages import DOCS, steps


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The module ``personal`` that the page on methods writes out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    steps(DOCS / "write-a-method.md")
