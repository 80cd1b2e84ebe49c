"""A validator's app process that misbehaves on demand: `HOME/behaviour` names what it does, `HOME/deeds` what it did.

lie         says no where its judge says yes, and the other way round
long, huge  extensions of 300 bytes and of 1 MiB
overfill    proposes more than max_tx_bytes
any name in `tests.ballot.cheats.CHEATS`
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from abci_app import node
from abci_app.ballots import Ballots
from cosmos_wire.protos import abci
from microgrid import votes
from tests.ballot.cheats import CHEATS

RUBBISH = {"long": bytes(300), "huge": bytes((1 << 20) - 2_000)}


class Byzantine(Ballots):
    """Honest unless the file says otherwise."""

    home = Path()

    @property
    def behaviour(self) -> tuple[str, ...]:
        path = self.home / "behaviour"
        return tuple(path.read_text(encoding="utf-8").split()) if path.exists() else ()

    def _did(self, what: str, height: int) -> None:
        with (self.home / "deeds").open("a", encoding="utf-8") as deeds:
            deeds.write(f"{what} {height}\n")

    def extension(self, height: int) -> bytes:
        honest = super().extension(height)
        for name in self.behaviour:
            vote = votes.vote_of(honest)
            if name == "lie" and vote is not None:
                self._did(name, height)
                return votes.extension_of(replace(vote, yes=vote.no, no=vote.yes))
            if name in RUBBISH:
                self._did(name, height)
                return RUBBISH[name]
        return honest

    def propose(self, request: abci.RequestPrepareProposal) -> list[bytes]:
        honest = super().propose(request)
        for name in self.behaviour:
            if name == "overfill":
                self._did(name, request.height)
                return [*honest, b"\x0a" + bytes(request.max_tx_bytes)]
            cheated = CHEATS[name](honest) if name in CHEATS else honest
            if cheated != honest:
                self._did(name, request.height)
                return cheated
        return honest


def main(arguments: list[str]) -> int:
    Byzantine.home = Path(arguments[arguments.index("--home") + 1])
    from abci_app import app_process

    app_process.Ballots = Byzantine  # type: ignore[misc]  # the one place where the app makes its own
    return node.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
