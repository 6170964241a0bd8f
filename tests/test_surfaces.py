"""What others build on changes only together with a line in the changelog."""

import re

import pytest

from tests.kit.surfaces import FOLDER, ROOT, SURFACES, changed_names, listed, written

WRITE = "python -m tests.kit.surfaces"


def newest_section():
    """Return version and text of the changelog's topmost section."""
    found = re.search(
        r"^## (\S+).*?\n(.*?)(?=^## |\Z)", (ROOT / "CHANGELOG.md").read_text(), re.M | re.S
    )
    return found.groups()


def unsaid(names, section):
    """Return the names that a section of the changelog does not have in backticks."""
    said = set(re.findall(r"`([^`]+)`", section))
    return {name for name in names if not any(name in words for words in said)}


@pytest.mark.parametrize("name", SURFACES)
def test_a_surface_changes_with_its_line_in_the_changelog_only(name):
    changed = changed_names(written(name), listed(name))
    version, section = newest_section()
    if version == (FOLDER / "VERSION").read_text().strip():  # which is not released yet
        assert not changed, f"say it in the changelog, and then: {WRITE}"
    else:
        assert not unsaid(changed, section), f"CHANGELOG.md: name these in section {version}"


def test_each_surface_has_a_file_and_each_file_a_surface():
    assert {file.stem for file in FOLDER.glob("*.txt")} == {*SURFACES}
