"""Nothing in the pure rooms may differ between two validators: no float, no hash seed, no set order."""

import ast
from collections.abc import Iterator

import pytest

from tests.style.source import Function, Source, pure

ORDER_BLIND = {"sorted", "len", "min", "max", "any", "all", "frozenset", "set", "sum"}


def floats(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield f"{source.at(node)} float literal {node.value}"
        elif isinstance(node, ast.Name) and node.id in {"float", "complex"}:
            yield f"{source.at(node)} {node.id}: use integers of a smaller unit"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"{source.at(node)} '/' makes a float: use //"


def unstable_calls(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"hash", "id", "open"}:
            yield f"{source.at(node)} {node.func.id}() differs between validators"


def is_set(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression is a set for sure: a literal, set(), or a local name that was given one."""
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in {"set", "frozenset"}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub):
        return is_set(node.left, names) or is_set(node.right, names)
    return isinstance(node, ast.Name) and node.id in names


def set_names(function: ast.AST) -> set[str]:
    """Local names that are given a set somewhere in a function."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and is_set(node.value, found):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and node.value is not None and is_set(node.value, found):
            found |= {node.target.id} if isinstance(node.target, ast.Name) else set()
    return found


def order_blind_iterables(tree: ast.AST) -> set[int]:
    """Comprehensions whose order can't be seen, because they go into sorted() and the like, or make a set."""
    blind = {id(node) for node in ast.walk(tree) if isinstance(node, ast.SetComp)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDER_BLIND:
            blind |= {id(argument) for argument in node.args}
    return blind


def iterated(tree: ast.AST) -> Iterator[ast.AST]:
    """Expressions whose order of iteration shows in a result."""
    blind = order_blind_iterables(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.For):
            yield node.iter
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and id(node) not in blind:
            yield from (generator.iter for generator in node.generators)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"list", "tuple"}:
            yield from node.args if id(node) not in blind else ()


def set_orders(source: Source) -> Iterator[str]:
    for scope in [n for n in ast.walk(source.tree) if isinstance(n, Function | ast.Module)]:
        names = set_names(scope) if not isinstance(scope, ast.Module) else set()
        yield from (f"{source.at(n)} iterates a set: use sorted()" for n in iterated(scope) if is_set(n, names))


@pytest.mark.parametrize("rule", [floats, unstable_calls, set_orders])
def test_consensus_code_is_deterministic(rule):
    assert sorted({line for source in pure() for line in rule(source)}) == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (floats, "x = 1.5"),
        (floats, "x = 3 / 2"),
        (floats, "x = float(y)"),
        (unstable_calls, "x = hash(y)"),
        (set_orders, "def f(a):\n  seen = set(a)\n  return [x for x in seen]"),
        (set_orders, "for x in {1, 2}: print(x)"),
        (set_orders, "y = list(set(a) | set(b))"),
    ],
)
def test_the_rule_sees_a_culprit(rule, text: str):
    assert list(rule(Source(path="x.py", text=text, tree=ast.parse(text))))


@pytest.mark.parametrize(
    "text", ["y = sorted(set(a))", "def f(a):\n  s = set(a)\n  return sorted(x for x in s)", "x = 3 // 2"]
)
def test_the_rules_leave_the_innocent_alone(text: str):
    source = Source(path="x.py", text=text, tree=ast.parse(text))
    assert [line for rule in (floats, unstable_calls, set_orders) for line in rule(source)] == []
