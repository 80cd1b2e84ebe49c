"""`python -m ibc_relayer --config FILE`: relay until SIGTERM."""

import sys

from ibc_relayer.cli import main

sys.exit(main(sys.argv[1:]))
