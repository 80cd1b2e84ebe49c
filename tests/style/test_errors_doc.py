"""docs/errors.md is what the declared error classes say."""

import subprocess
import sys

from tests.style.source import ROOT

RENDER = "import sys; sys.path.insert(0, 'tools'); import errors_doc; sys.stdout.write(errors_doc.render())"


def test_errors_doc_is_up_to_date():
    # In a process of its own: other tests declare errors for their mocks.
    made = subprocess.run([sys.executable, "-c", RENDER], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "errors.md").read_text() == made, "run `python tools/errors_doc.py`"
