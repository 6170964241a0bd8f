"""Scalars follow the core schema of YAML 1.2, and what a scenario has no use for is refused."""

from typing import Any

import pytest

from tests.kit.scenarios import MAX_DEPTH, MAX_NODES, ProblemsFound, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e6", 1e6),
        ("5e-3", 5e-3),
        ("1.", 1.0),
        (".5", 0.5),
        ("-3.25E+2", -325.0),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-08-22", "2026-08-22"),
        ("2026-08-22T00:00:00Z", "2026-08-22T00:00:00Z"),
        ("'12'", "12"),
        ('"1e6"', "1e6"),
        ("'null'", "null"),
        ("''", ""),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("[1, two, 3.0]", [1, "two", 3.0]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("{no: 1, 1: 2, null: 3}", {"no": 1, "1": 2, "null": 3}),
        ("'<<'", "<<"),
    ],
)
def test_a_scalar_has_the_type_that_yaml_1_2_gives_it(text: str, value: Any) -> None:
    parsed = parse_yaml(text).value
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_a_text_without_a_value_is_nothing(text: str) -> None:
    assert parse_yaml(text).value is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: &x 2\n", 2, "anchor 'x'"),
        ("a: 1\nb: *x\n", 2, "alias 'x'"),
        ("a: !!int 1\n", 1, "tag 'tag:yaml.org,2002:int'"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "tag"),
        ("a: ! 1\n", 1, "tag '!'"),
        ("!mine\na: 1\n", 1, "tag '!mine'"),
        ("a: 1\n\na: 2\n", 3, "is given twice (first on line 1)"),
        ("a: 010\n", 1, "'010' is ambiguous"),
        ("a: -00\n", 1, "'-00' is ambiguous"),
        ("a: .nan\n", 1, ".nan is not allowed; numbers must be finite"),
        ("a: -.inf\n", 1, "-.inf is not allowed; numbers must be finite"),
        ("a: 1e400\n", 1, "'1e400' is too large; numbers must be finite"),
        ("a: 99999999999999999999\n", 1, "whole numbers go up to 9223372036854775807"),
        ("a: 0x" + "f" * 9999 + "\n", 1, "whole numbers go up to 9223372036854775807"),
        ("a: 1\n? [b]\n: 1\n", 2, "a key must be a word"),
        ("a: [1\nb: 2\n", 2, "is not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "is not valid YAML"),
        ("a: 1\n---\na: 2\n", 2, "expected a single document"),
        ("a: 1\nb: \x07\n", 2, "a character that YAML does not allow"),
        ('a: "\\uD800"\n', 1, "half of a surrogate pair"),
    ],
)
def test_what_a_scenario_has_no_use_for_is_refused_with_its_line(
    text: str, line: int, words: str
) -> None:
    with pytest.raises(ProblemsFound) as caught:
        parse_yaml(text)
    (problem,) = caught.value.problems
    assert problem.line == line
    assert words in problem.text


def test_an_escape_beyond_unicode_is_refused() -> None:
    with pytest.raises(ProblemsFound, match="escape that stands for no character"):
        parse_yaml('"\\UFFFFFFFF"')


def test_nesting_is_allowed_to_the_limit_and_refused_beyond() -> None:
    def nested(levels: int) -> str:
        return "[" * levels + "]" * levels

    assert parse_yaml(nested(MAX_DEPTH)).value is not None
    with pytest.raises(ProblemsFound, match="nested too deeply"):
        parse_yaml(nested(MAX_DEPTH + 1))
    with pytest.raises(ProblemsFound, match="nested too deeply"):
        parse_yaml("[" * 20_000)


def test_the_number_of_values_is_allowed_to_the_limit_and_refused_beyond() -> None:
    assert len(parse_yaml("[" + "1," * (MAX_NODES - 1) + "]").value) == MAX_NODES - 1
    with pytest.raises(ProblemsFound, match="too many values"):
        parse_yaml("[" + "1," * MAX_NODES + "]")


def test_lines_are_those_of_the_keys_and_of_the_list_items() -> None:
    document = parse_yaml("\na:\n  b: 1\nc:\n  - x\n  - {d: 2,\n     e: 3}\n")
    assert document.lines[("a",)] == 2
    assert document.lines[("a", "b")] == 3
    assert document.lines[("c", 1)] == 6
    assert document.lines[("c", 1, "e")] == 7
