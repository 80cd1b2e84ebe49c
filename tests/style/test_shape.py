"""Sizes, banned words, and tests that assert."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.style.source import ROOT, Function, Source, files_of_tests, product, sources

FUNCTION_LINES_MAX = 50
PARAMETERS_MAX = 5
FILE_LINES_MAX = 600
FIXTURE_PARAMETERS = {"self", "cls"}

BANNED = {
    r"\b(TODO|FIXME|HACK)\b|\bXXX\b": "do it now or leave it out",
    r"\bNotImplementedError\b": "write it, or leave the name out",
    r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b": "a test that does not run proves nothing",
    r"#\s*type:\s*ignore(?!\[[a-z-]+\]\s+#)": "name the rule and give the reason: `# type: ignore[rule]  # why`",
    r"#\s*noqa(?!:)": "name the rule",
}
THIS_FILE = "tests/style/test_shape.py"


def is_command(function: Function) -> bool:
    """A command of the command line: click gives it one parameter a flag, all by name."""
    targets = [d.func if isinstance(d, ast.Call) else d for d in function.decorator_list]
    return any(isinstance(target, ast.Attribute) and target.attr == "command" for target in targets)


def parameters(function: Function) -> int:
    args = function.args
    names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return len([name for name in names if name not in FIXTURE_PARAMETERS])


def long_functions(source: Source) -> Iterator[str]:
    for function in source.functions():
        lines = (function.end_lineno or 0) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{source.at(function)} {function.name} has {lines} lines, at most {FUNCTION_LINES_MAX}"


def wide_functions(source: Source) -> Iterator[str]:
    for function in source.functions():
        if parameters(function) > PARAMETERS_MAX and not is_command(function):
            count = parameters(function)
            yield f"{source.at(function)} {function.name} has {count} parameters, at most {PARAMETERS_MAX}"


def long_files(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{source.path} has {lines} lines, at most {FILE_LINES_MAX}"


def banned_words(source: Source) -> Iterator[str]:
    if source.path == THIS_FILE:
        return
    for number, line in enumerate(source.text.splitlines(), 1):
        for pattern, instead in BANNED.items():
            if re.search(pattern, line):
                yield f"{source.path}:{number} {line.strip()[:80]!r}: {instead}"


def broad_excepts(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            last = node.body[-1]
            if isinstance(last, ast.Raise) and last.exc is None:
                continue  # tidies up and lets it go on
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(c is None or getattr(c, "id", "") in {"Exception", "BaseException"} for c in caught):
                yield f"{source.at(node)} catches everything: name what can be handled"


@pytest.mark.parametrize("rule", [long_functions, long_files, broad_excepts])
def test_all_code(rule):
    assert [line for source in sources() for line in rule(source)] == []


def test_no_function_takes_many_parameters():
    assert [line for source in product() for line in wide_functions(source)] == []


def test_no_banned_words():
    assert [line for source in sources() for line in banned_words(source)] == []


def called_names(function: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            names.add(node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
    return names


def checks_itself(function: ast.AST) -> bool:
    """An assert statement, pytest.raises or warns, or a helper whose name says that it asserts."""
    names = called_names(function)
    return any(isinstance(n, ast.Assert) for n in ast.walk(function)) or any(
        n in {"raises", "fail"} or n.startswith(("assert", "check", "expect")) for n in names
    )


def idle_tests(source: Source) -> Iterator[str]:
    checking = {f.name for f in source.functions() if checks_itself(f)}
    for function in source.functions():
        if not function.name.startswith("test_") or function.name in checking:
            continue
        if not called_names(function) & checking:
            yield f"{source.at(function)} {function.name} asserts nothing"


def machine_asserts(source: Source) -> bool:
    """A hypothesis state machine asserts in its rules; the generated TestCase class only runs them."""
    return "RuleBasedStateMachine" in source.text


def test_every_test_asserts_something():
    assert [line for source in files_of_tests() if not machine_asserts(source) for line in idle_tests(source)] == []


def test_every_test_file_has_a_test():
    empty = [
        s.path for s in files_of_tests() if "/test_" in s.path and "def test_" not in s.text and not machine_asserts(s)
    ]
    assert empty == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (banned_words, "x = 1  # TO" + "DO later"),
        (broad_excepts, "try:\n  f()\nexcept Exc" + "eption:\n  pass"),
        (broad_excepts, "try:\n  f()\nexcept:\n  pass"),
        (long_functions, "def f():\n" + "  x = 1\n" * 50),
        (wide_functions, "def f(a, b, c, d, e, *, g): pass"),
        (idle_tests, "def test_nothing():\n  f()"),
    ],
)
def test_the_rule_sees_a_culprit(rule, text: str):
    assert list(rule(Source(path="x.py", text=text, tree=ast.parse(text))))


def test_no_machine_path_or_registry_in_what_is_shipped():
    files = [ROOT / name for name in ("requirements.lock", "requirements-dev.lock", "tools/requirements-go.lock")]
    assert [f.name for f in files if re.search(r"https?://|--(extra-)?index-url|/root/|/home/", f.read_text())] == []
