"""The tables that `docs/reference.py` makes: nothing that the program has is missing there."""

import sys
from dataclasses import fields
from importlib import import_module

import pytest

from learning.methods.base import METHODS
from sim.trace.schema import COLUMNS
from tests.docs.pages import DOCS

pytest.importorskip("docutils", reason="the pages need Sphinx: pip install -e .[docs]")


@pytest.fixture(scope="module")
def reference():
    sys.path.insert(0, str(DOCS))
    yield import_module("reference")
    sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def rows(reference):
    return reference.rows()


def test_every_key_of_the_surface_has_a_row(rows):
    listed = (DOCS / "surfaces/scenario-keys.txt").read_text().splitlines()
    known = [line.partition(": ")[0] for line in listed if " of " not in line.partition(": ")[0]]
    inner = "\n".join(known)
    values = {key for key in known if f"\n{key}." not in inner and f"\n{key}[]." not in inner}
    assert values <= {key for key, *_ in rows}


@pytest.mark.parametrize("method", METHODS.shipped)
def test_every_option_of_a_method_is_on_the_page(reference, rows, method):
    named = [(key, text.rpartition(" (")[2][:-1].split(", ")) for key, *_, text in rows]
    own = {key.removeprefix(reference.OPTIONS) for key, users in named if method in users}
    assert {field.name for field in fields(METHODS.find(method).Options)} <= own


@pytest.mark.parametrize("table", COLUMNS)
def test_every_column_of_a_table_is_on_the_page(reference, table):
    rows = reference.rows_of_columns(table)
    assert [name for name, *_ in rows] == [*COLUMNS[table]] and all(text for *_, text in rows)
