"""docs/errors.md lists every code that the chain can answer with."""

from tests.style.source import ROOT
from tools import errors_doc


def test_errors_doc_is_up_to_date():
    assert (ROOT / "docs" / "errors.md").read_text() == errors_doc.render(), "run `python tools/errors_doc.py`"


def test_every_declared_class_has_a_reason():
    assert [error.__name__ for error in errors_doc.declared() if not error.reason.strip()] == []
