"""Text as codes is the same text, and costs a few bytes a row."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.records import Coded, Trace, Vocabulary, coded_text, sha256

WORDS = ("delivered", "carried", "dropped")


@given(st.lists(st.integers(-1, 2)))
def test_codes_and_lists_give_the_same_tables(codes: list[int]) -> None:
    text = [None if code < 0 else WORDS[code] for code in codes]
    times = np.arange(len(codes), dtype=float)
    tables = []
    for detail in (text, Coded(np.array(codes, np.int8), WORDS)):
        trace = Trace()
        # What came before gives the words other numbers.
        trace.add("events", time_s=-1.0, kind="wait", detail="dropped")
        trace.add("events", len(codes), time_s=times, kind="wait", detail=detail)
        tables.append(trace.tables())
    assert tables[0]["events"].column("detail").to_pylist()[1:] == text
    assert tables[0]["events"].equals(tables[1]["events"])
    assert sha256(tables[0]) == sha256(tables[1])


@given(st.lists(st.text(max_size=3) | st.none()))
def test_a_vocabulary_gives_each_text_back(texts: list[str | None]) -> None:
    vocabulary = Vocabulary()
    codes = vocabulary.codes(texts)
    assert [None if code < 0 else vocabulary.words[code] for code in codes] == texts
    assert coded_text(codes, vocabulary.words).to_pylist() == texts
    assert len(set(vocabulary.words)) == len(vocabulary.words)


@pytest.mark.parametrize(("code", "said"), [(3, "code is 3"), (-2, "code is -2")])
def test_a_code_without_a_word_is_refused(code: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Vocabulary().codes(Coded(np.array([0, code]), WORDS))


def test_what_does_not_fit_a_column_is_refused() -> None:
    trace = Trace()
    with pytest.raises(ValueError, match=r"events.time_s has shape \(3,\); give \(2,\)"):
        trace.add("events", 2, time_s=np.zeros(3))
    with pytest.raises(TypeError):
        trace.add("events", 2, device=np.array([0.5, 1.5]))
    with pytest.raises(TypeError):
        trace.add("events", device=0.5)
    with pytest.raises(TypeError, match="3 is no text"):
        trace.add("events", kind=3)
    assert all(len(table) == 0 for table in trace.tables().values())


def test_a_row_of_a_run_costs_less_than_fifty_bytes() -> None:
    """As a cluster of a thousand devices writes them: one time and one device a row, and codes."""
    trace, rng, rows = Trace(), np.random.default_rng(1), 1000
    tracemalloc.start()
    for contact in range(200):
        trace.add(
            "events",
            rows,
            time_s=rng.uniform(size=rows),
            kind="upload_end",
            cluster="Munich",
            device=np.arange(rows),
            contact_id=contact,
            version=np.full(rows, contact),
            detail=Coded(rng.integers(0, 3, rows), WORDS),
        )
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / (200 * rows) < 50
