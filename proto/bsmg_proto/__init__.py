"""Generated messages of the chain's own services; `proto/generate.py` writes everything below this folder."""

import cosmpy.protos  # noqa: F401  (puts the Cosmos messages that these import on the path)
