"""Figures as sentences have them."""

import pytest

from tests.kit.results import counted, percent


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1 day"), (1.0, "1 day"), (0.25, "0.25 days"), (2, "2 days")]
)
def test_one_of_a_thing_has_no_plural(number, text):
    assert counted(number, "day") == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(0.48, 0, "48 %"), (0.4812, 2, "48.12 %"), (0.0004, 1, "< 0.1 %"), (0.0, 1, "0.0 %")],
)
def test_a_share_has_a_space_before_its_sign_and_is_not_nothing(share, digits, text):
    assert percent(share, digits) == text
