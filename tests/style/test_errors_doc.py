"""docs/errors.md lists every code that the chain can answer with."""

import subprocess
import sys

from tests.style.source import ROOT
from tools import errors_doc

RENDER = "from tools import errors_doc; print(errors_doc.render(), end='')"


def test_errors_doc_is_up_to_date():
    # In a process of its own: other tests declare errors for their mocks.
    made = subprocess.run([sys.executable, "-c", RENDER], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "errors.md").read_text() == made, "run `python tools/errors_doc.py`"


def test_every_declared_class_has_a_reason():
    assert [error.__name__ for error in errors_doc.declared() if not error.reason.strip()] == []
