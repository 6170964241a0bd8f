"""Runs in one process: their requests are done at once, and an error costs one of them only."""

import pytest

from tests.kit.learning import CooperativeRuns, together


def runs(company, works):
    """Let members do their works; return what each returned or raised, by number."""
    ended = {}

    def member(number, work):
        try:
            ended[number] = work()
        except (ValueError, KeyboardInterrupt) as error:
            ended[number] = error

    for number, work in enumerate(works):
        company.begin(lambda number=number, work=work: member(number, work))
    while company:
        try:
            company.go_on()
        except KeyboardInterrupt:
            company.interrupt()
    return [ended[number] for number in range(len(works))]


def test_what_members_ask_for_is_done_at_once_and_answered_to_each():
    asked = []

    def doubled(requests):
        asked.append(list(requests))
        return [2 * request for request in requests]

    def work(count, first):
        return [together(doubled, [first + turn, -first])[0] for turn in range(count)]

    found = runs(CooperativeRuns(), [lambda n=n: work(n, 10 * n) for n in (1, 3, 2)])
    assert found == [[20], [60, 62, 64], [40, 42]]
    assert asked == [[10, -10, 30, -30, 20, -20], [31, -30, 21, -20], [32, -30]]
    assert together(doubled, [4]) == [8]  # outside of a company at once


def test_an_error_is_raised_in_the_member_whose_request_it_was():
    def halved(requests):
        if odd := [request for request in requests if request % 2]:
            raise ValueError(f"{odd[0]} is odd")
        return [request // 2 for request in requests]

    first, second, third = runs(
        CooperativeRuns(), [lambda n=n: together(halved, [n])[0] for n in (4, 7, 8)]
    )
    assert (first, third) == (2, 4)
    with pytest.raises(ValueError, match="7 is odd"):
        raise second


def test_an_interrupt_is_raised_in_every_member():
    def interrupted(_requests):
        raise KeyboardInterrupt

    found = runs(CooperativeRuns(), [lambda: together(interrupted, [1]) for _ in range(3)])
    assert [type(one) for one in found] == [KeyboardInterrupt] * 3
