"""A peer in a process of its own: `python -m fabric_adapter.embedded.peer_process --home DIR --org ORG --fd N`.

The ledger's process starts one for each organisation and hands it checked proposals over a socket (`apart`). It reads
the ledger's file, never writes it, has its organisation's key and chaincode, and ends with the ledger's process.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cosmos_wire.errors import BsmgError
from cosmos_wire.protos import fabric_peer
from fabric_adapter import serving
from fabric_adapter.chaincodes import load
from fabric_adapter.embedded.apart import HEAD, READY, framed, task_of
from fabric_adapter.embedded.disk import Disk
from fabric_adapter.embedded.peer import Answer, Peer
from fabric_adapter.embedded.refusals import ChaincodeFailedError, ChaincodeRefusedError
from fabric_adapter.embedded.serve import load_node
from fabric_adapter.network.plan import LEDGER, Home, Plan, read_plan
from fabric_adapter.stub import Response

HANDFUL = 16  # answers that leave together


def open_peer(home: Home, plan: Plan, org: str) -> Peer:
    """Of an organisation; raises ToolError when chaincode, key or ledger can't be used."""
    (found,) = (peer for peer in plan.peers if peer.org == org)
    program = load(plan.wish.factory)
    disk = Disk(home.node(LEDGER) / "data", readonly=True)
    return Peer(load_node(home, found), disk, {plan.wish.chaincode: program})


def serve(line: socket.socket, peer: Peer) -> None:
    """Answer until the other side ends."""
    reader = line.makefile("rb")
    while (asks := _read(reader)) is not None:
        answers = fabric_peer.PeerAnswers()
        for ask in asks.asks:
            answers.answers.append(answered(peer, ask))
            if len(answers.answers) >= HANDFUL:
                line.sendall(framed(answers))
                answers = fabric_peer.PeerAnswers()
        if answers.answers:
            line.sendall(framed(answers))


def _read(reader: BinaryIO) -> fabric_peer.PeerAsks | None:
    head = reader.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    (size,) = HEAD.unpack(head)
    data = reader.read(size)
    return fabric_peer.PeerAsks.FromString(data) if len(data) == size else None


def answered(peer: Peer, ask: fabric_peer.PeerAsk) -> fabric_peer.PeerAnswer:
    """A refusal is an answer too."""
    try:
        found = peer.endorse(task_of(ask)) if ask.endorse else peer.evaluate(task_of(ask))
    except ChaincodeRefusedError as refusal:
        found = Answer(response=refusal.response)
    except ChaincodeFailedError as failure:
        return fabric_peer.PeerAnswer(id=ask.id, fault=failure.fault)
    except BsmgError as error:
        return fabric_peer.PeerAnswer(id=ask.id, fault=str(error))
    return _message(ask.id, found.response, found)


def _message(number: int, said: Response, found: Answer) -> fabric_peer.PeerAnswer:
    return fabric_peer.PeerAnswer(
        id=number,
        status=said.status,
        message=said.message,
        result=said.payload,
        payload=found.payload,
        signature=found.signature,
    )


def main() -> None:
    """By the command line's options, until the ledger's process ends."""
    parser = argparse.ArgumentParser(prog="python -m fabric_adapter.embedded.peer_process", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--org", required=True)
    parser.add_argument("--fd", type=int, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname)s {given.org}: %(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the ledger's process is told; this one answers until it is gone
    home = Home(given.home)
    with socket.socket(fileno=given.fd) as line, suppress(ConnectionError):  # the ledger's process has ended
        for fault in _begun(line, home, given.org):
            line.sendall(framed(fabric_peer.PeerAnswers(answers=[fabric_peer.PeerAnswer(id=READY, fault=fault)])))


def _begun(line: socket.socket, home: Home, org: str) -> Iterator[str]:
    """Serve; yields why it can't."""
    try:
        peer = open_peer(home, read_plan(home), org)
    except BsmgError as error:
        yield str(error)
        return
    serving.quieten()
    line.sendall(framed(fabric_peer.PeerAnswers(answers=[fabric_peer.PeerAnswer(id=READY)])))
    serve(line, peer)


if __name__ == "__main__":
    main()
