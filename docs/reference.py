"""The reference, made from the program by directives of Sphinx.

`keys` are those of a scenario by their whole names, from the schema of editors: in each section the
common ones first, the advanced ones in a table of their own. `options` are those of the methods,
from the same schema. `tables` are those of a run folder with their columns, from the classes of
their rows. `checks` are those of a run, with when each is made. `commands` are the commands with
what they print for `--help`.
"""

import json
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from typer.testing import CliRunner

from scenarios.common_keys import COMMON
from sim.analysis.checks import CHECKS
from sim.cli.about import schema_of_files
from sim.cli.app import COMMANDS, app
from sim.facts.tables import TABLES, columns_of_table

HEAD = ("name", "meaning, default and values")
OPTIONS = "learning.options."
LIMITS = {
    "exclusiveMinimum": "above",
    "minimum": "from",
    "exclusiveMaximum": "below",
    "maximum": "to",
}
Form = dict[str, Any]
Row = tuple[str, str, str, str]


class Keys(Directive):
    """A section for each section of a scenario, with a row for each key but options of methods."""

    def run(self) -> list[nodes.Node]:
        """Return the sections; keys outside of any are in the first."""
        by_name: dict[str, list[Row]] = {}
        for row in rows():
            name, inner, _ = row[0].partition(".")
            if not row[0].startswith(OPTIONS):
                by_name.setdefault(name if inner else "", []).append(row)
        return [section(name or "outside of sections", rows) for name, rows in by_name.items()]


class Options(Directive):
    """A table with a row for each option of a method; which methods have it follows its meaning."""

    def run(self) -> list[nodes.Node]:
        """Return the table; the options have their names alone."""
        found = [row for row in rows() if row[0].startswith(OPTIONS)]
        return [table([(row[0].removeprefix(OPTIONS), *row[1:]) for row in found])]


class Tables(Directive):
    """A section for each table of a run folder, with a row for each column."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        found: list[nodes.Node] = []
        for name in TABLES:
            whole = nodes.section(ids=[f"table-{name.replace('_', '-')}"], names=[f"table {name}"])
            whole += [nodes.title(text=name), table(rows_of_columns(name))]
            found.append(whole)
        return found


class Checks(Directive):
    """A table of the checks of a run: their codes, and when each is made."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        meanings = (
            (code, (check.__doc__ or "").replace("`", "")) for code, check in CHECKS.items()
        )
        return [table([(code, "", "", text) for code, text in meanings])]


class Commands(Directive):
    """One section a command, with what it prints for `--help`."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        found: list[nodes.Node] = []
        for name in COMMANDS:
            shown = CliRunner(env={"COLUMNS": "110"}).invoke(app, [name, "--help"]).stdout
            section = nodes.section(ids=[f"leomix-{name}"], names=[name])
            section += [nodes.title(text=f"leomix {name}"), nodes.literal_block(text=shown.strip())]
            found.append(section)
        return found


def rows() -> list[Row]:
    """Return the rows of all keys, with their default, values and meaning."""
    schema = schema_of_files()
    return list(rows_of_section("", schema, schema["$defs"]))


def rows_of_columns(name: str) -> list[Row]:
    """Return the rows of the columns of a table, with their types and meaning."""
    types = {False: "{}", True: "{}, learnt"}
    return [
        (c.name, "", types[c.learned].format(c.kind.value), c.doc) for c in columns_of_table(name)
    ]


def section(name: str, rows: list[Row]) -> nodes.Node:
    """Return a section with the tables of its keys."""
    whole = nodes.section(ids=[f"keys-{name.replace(' ', '-')}"], names=[f"keys {name}"])
    whole += nodes.title(text=name)
    common = [row for row in rows if row[0].replace("[]", "") in COMMON]
    advanced = [row for row in rows if row not in common]
    for title, some in (("", common), ("Advanced", advanced)):
        if some and title:
            whole += nodes.rubric(text=title)
        if some:
            whole += table(some)
    return whole


def rows_of_section(path: str, section: Form, known: Form) -> Iterator[Row]:
    """Yield the rows of the keys of a section, and of those within them."""
    for name, form in section["properties"].items():
        yield from rows_of_key(f"{path}{name}", form, known)
    options: dict[Row, list[str]] = {}
    for rule in section.get("allOf", ()):
        method = rule["if"]["properties"]["method"]["const"]
        one = section_of(rule["then"]["properties"]["options"], known)
        for row in rows_of_section(f"{path}options.", one, known):
            options.setdefault(row, []).append(method)
    for row, methods in options.items():
        yield noted(row, methods)


def rows_of_key(path: str, form: Form, known: Form) -> Iterator[Row]:
    """Yield the row of a key, and those of the section or list of sections that it may be."""
    forms = alternatives(form)
    sections = [one for one in forms if "$ref" in one]
    lists = [one["items"] for one in forms if "$ref" in one.get("items", ())]
    if lists or len(sections) != len(forms):
        text = form.get("description", "")
        yield path, default_of(form), ", ".join(filter(None, map(values_of, forms))), text
    found: dict[Row, list[str]] = {}
    for one in sections:
        section = section_of(one, known)
        source = section["properties"].get("source", {}).get("const", "")
        for row in rows_of_section(f"{path}.", section, known):
            found.setdefault(row, []).append(source)
    for row, sources in found.items():
        yield row if len(sources) == len(sections) else noted(row, sources)
    for one in lists:
        yield from rows_of_section(f"{path}[].", section_of(one, known), known)


def noted(row: Row, users: list[str]) -> Row:
    """Return a row whose meaning ends with who uses the key."""
    return (*row[:3], f"{row[3]} ({', '.join(users)})")


def section_of(form: Form, known: Form) -> Form:
    """Return the section that a form refers to."""
    section: Form = known[form["$ref"].rpartition("/")[2]]
    return section


def alternatives(form: Form) -> list[Form]:
    """Return the forms that a value may have, without null."""
    inner = form.get("anyOf") or form.get("oneOf")
    if not inner:
        return [form] if form.get("type") != "null" else []
    return [one for choice in inner for one in alternatives(choice)]


def default_of(form: Form) -> str:
    """Return the default as it is written in a file; nothing where there is none."""
    default = form.get("default")
    return "" if default in (None, "", [], {}) else json.dumps(default).strip('"')


def values_of(form: Form) -> str:
    """Return what a value may be, in a few words."""
    if "$ref" in form:
        return ""
    if "const" in form or "enum" in form:
        return ", ".join(str(one) for one in form.get("enum", [form.get("const")]))
    if form.get("type") == "boolean":
        return "true, false"
    if form.get("type") == "array":
        return "list"
    limits = [f"{word} {form[key]:g}" for key, word in LIMITS.items() if key in form]
    return " ".join([form.get("type", ""), *limits]).replace("string", "text").strip()


def table(rows: list[Row]) -> nodes.Node:
    """Return a table of two columns, so that long keys leave room for what they mean."""
    group = nodes.tgroup(cols=len(HEAD))
    group += [nodes.colspec(colwidth=width) for width in (40, 60)]
    head, body = nodes.thead(), nodes.tbody()
    head += line([[nodes.Text(title)] for title in HEAD])
    for key, default, values, text in rows:
        rest: list[nodes.Node] = [nodes.Text(text)]
        if default:
            rest += [nodes.Text("; default "), nodes.literal(text=default)]
        if values:
            rest.append(nodes.Text(f"; {values}"))
        body += line([[nodes.literal(text=key)], rest])
    group += [head, body]
    whole = nodes.table()
    whole += group
    return whole


def line(cells: list[list[nodes.Node]]) -> nodes.row:
    """Return a row of a table."""
    row = nodes.row()
    for cell in cells:
        paragraph = nodes.paragraph()
        paragraph += cell
        entry = nodes.entry()
        entry += paragraph
        row += entry
    return row


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("keys", Keys)
    app.add_directive("options", Options)
    app.add_directive("tables", Tables)
    app.add_directive("checks", Checks)
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
