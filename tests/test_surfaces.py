"""What others build on changes only together with its lists in docs/surfaces."""

import pytest

from tests.kit.surfaces import FOLDER, SURFACES, listed


@pytest.mark.parametrize("name", SURFACES)
def test_a_name_that_others_use_changes_with_its_list_only(name):
    written = (FOLDER / f"{name}.txt").read_text()
    assert listed(name) == written, "say it in the changelog, then: python -m tests.kit.surfaces"
