"""Small changes of a module's source, each of which a test should notice.

Statements keep their lines. Left alone are docstrings and all other text, annotations, decorators,
what is raised and asserted, and how things look (``repr``) or agree (``strict``).
"""

import ast
from dataclasses import dataclass
from functools import partial

COMPARED = (
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
)
COMPARISONS = dict(COMPARED) | {other: one for one, other in COMPARED}
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMED = ["minimum maximum", "min max", "argmin argmax", "any all", "floor ceil", "sin cos"]
NAMES = dict(pair.split() for pair in NAMED)
NAMES |= {other: one for one, other in NAMES.items()}
SIDES = {"left": "right", "right": "left"}
QUIET_KEYWORDS = {"strict", "repr"}


@dataclass(frozen=True)
class Mutant:
    """One change: ``before`` on a line becomes ``after``; characters ``start`` to ``end``."""

    line: int
    before: str
    after: str
    start: int
    end: int

    def applied(self, source):
        """Return the changed source."""
        return source[: self.start] + self.after + source[self.end :]


def mutants_of(source):
    """Return every mutant of a module, in the order of its source."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def offset(line, column):
        text = source[starts[line - 1] : starts[line]]
        return starts[line - 1] + len(text.encode()[:column].decode())

    found = set()
    for node, after in _changes(ast.parse(source)):
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = offset(node.lineno, node.col_offset)
        end = offset(node.end_lineno, node.end_col_offset)
        # What the change takes away at the end of a line must not move the lines behind it.
        newlines = source[start:end].count("\n")
        text = f"({after}" + "\n" * newlines + ")" if isinstance(node, ast.expr) else after
        found.add(Mutant(node.lineno, source[start:end], text, start, end))
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.after))


def _changes(tree):
    """Nodes, and what stands in their place."""
    for node in _looked_at(tree):
        yield from _statements(node)
        if isinstance(node, ast.expr):
            for make in _expressions(node):
                yield node, ast.unparse(make())


def _looked_at(node):
    """All nodes but those that are left alone."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _left_alone(child):
                continue
            yield child
            yield from _looked_at(child)


def _left_alone(node):
    match node:
        case ast.Raise() | ast.Assert() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return True
        case ast.keyword(arg=name):
            return name in QUIET_KEYWORDS
        case ast.Assign(targets=[ast.Name(id=name)]) if name.startswith("__"):
            return True
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Subscript() | ast.BinOp()):
            return name[0].isupper() and not name.isupper()  # another name of a type
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return False


def _statements(node):
    match node:
        case ast.Return(value=value) if value is not None:
            if not (isinstance(value, ast.Constant) and value.value is None):
                yield node, "return None" + "\n" * _height(node)
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            yield node, "pass" + "\n" * _height(node)
        case ast.AugAssign(op=op) if type(op) in ARITHMETIC:
            changed = ast.AugAssign(node.target, ARITHMETIC[type(op)](), node.value)
            yield node, ast.unparse(changed) + "\n" * _height(node)
        case ast.If(test=test) | ast.While(test=test):
            if isinstance(test, ast.Name | ast.Attribute | ast.Call):
                yield test, f"not {ast.unparse(test)}"


def _height(node):
    return (node.end_lineno or node.lineno) - node.lineno


def _expressions(node):
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            for number, op in enumerate(ops):
                changed = [*ops[:number], COMPARISONS[type(op)](), *ops[number + 1 :]]
                yield partial(ast.Compare, left, changed, others)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            yield partial(ast.BinOp, left, ARITHMETIC[type(op)](), right)
        case ast.BoolOp(op=op, values=values):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield partial(ast.BoolOp, other, values)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield lambda: operand
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield partial(ast.IfExp, ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Attribute(value=value, attr=name, ctx=ast.Load()) if name in NAMES:
            yield partial(ast.Attribute, value, NAMES[name], ast.Load())
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES:
            yield partial(ast.Name, NAMES[name], ast.Load())
        case ast.Constant(value=value):
            for other in _constants(value):
                yield partial(ast.Constant, other)


def _constants(value):
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value * 2 if value else 1.0]
    return [SIDES[value]] if isinstance(value, str) and value in SIDES else []
