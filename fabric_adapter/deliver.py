"""Client of Fabric's Deliver service (`protos.Deliver`): the blocks of a channel as one peer has them, one by one.

What follows the ledger checks that each block is the next one of the chain it has seen (`Link`) and that the channel's
orderers signed it (`fabric_wire.blocks`). A peer says itself which transactions of a block are valid: who follows one
trusts that peer for it, which should be his own organisation's.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import grpc

from cosmos_wire.errors import ToolError
from fabric_adapter.identity import Identity, Tls, open_channel
from fabric_adapter.proposal import NONCE_BYTES, sign_envelope
from fabric_wire.envelopes import block_data_hash, block_header_hash
from fabric_wire.protos import Timestamp, common, events, orderer
from fabric_wire.services import deliver_services

LAST = (1 << 64) - 1
LASTING = (common.FORBIDDEN, common.NOT_FOUND, common.BAD_REQUEST)


class DeliverError(ToolError):
    """A stream of blocks ended. `is_lasting`: the peer refuses us, and would again."""

    def __init__(self, target: str, said: str, *, is_lasting: bool = False) -> None:
        super().__init__(f"blocks of {target}: expected the next one, got {said}")
        self.is_lasting = is_lasting


class WrongBlockError(ToolError):
    """A block that does not follow the last one: this is not the ledger that was followed."""


class ForgedBlockError(WrongBlockError):
    """A block that the channel's orderers did not sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a ledger was followed to: the next block's number, and the hash of the header before it."""

    number: int = 0
    previous_hash: bytes = b""

    def next(self, block: common.Block) -> Link:
        """Behind a block; raises WrongBlockError unless it is the next one, whole."""
        header = block.header
        if header.number != self.number:
            raise WrongBlockError(f"expected block {self.number}, got block {header.number}")
        if header.previous_hash != self.previous_hash:
            raise WrongBlockError(
                f"block {self.number}: expected it on {self.previous_hash.hex() or 'nothing'}, "
                f"got one on {header.previous_hash.hex() or 'nothing'}: another ledger than the one followed so far"
            )
        data_hash = block_data_hash(block.data.data)
        if header.data_hash != data_hash:
            raise WrongBlockError(
                f"block {self.number}: expected data with the hash {header.data_hash.hex()}, got {data_hash.hex()}"
            )
        return Link(
            number=self.number + 1, previous_hash=block_header_hash(header.number, self.previous_hash, data_hash)
        )


def seek(identity: Identity, channel: str, info: orderer.SeekInfo) -> common.Envelope:
    """A signed request for blocks."""
    stamp = Timestamp()
    stamp.FromNanoseconds(time.time_ns())
    header = common.ChannelHeader(type=common.DELIVER_SEEK_INFO, timestamp=stamp, channel_id=channel)
    creator = common.SignatureHeader(creator=identity.serialized, nonce=os.urandom(NONCE_BYTES))
    both = common.Header(channel_header=header.SerializeToString(), signature_header=creator.SerializeToString())
    return sign_envelope(identity, common.Payload(header=both, data=info.SerializeToString()).SerializeToString())


def endless(start: int) -> orderer.SeekInfo:
    """From a block on, for ever."""
    return orderer.SeekInfo(
        start=orderer.SeekPosition(specified=orderer.SeekSpecified(number=start)),
        stop=orderer.SeekPosition(specified=orderer.SeekSpecified(number=LAST)),
        behavior=orderer.SeekInfo.BLOCK_UNTIL_READY,
    )


class Deliver:
    """One member's client of one peer."""

    def __init__(self, target: str, tls: Tls | None, identity: Identity, channel: str) -> None:
        self.target, self._identity, self._channel = target, identity, channel
        self._connection = open_channel(target, tls)
        self._stub = deliver_services.DeliverStub(self._connection)

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()

    async def blocks(self, start: int) -> AsyncGenerator[common.Block, None]:
        """Blocks as they come, from a number on; raises DeliverError when the stream ends."""
        stream = self._stub.Deliver(iter([seek(self._identity, self._channel, endless(start))]))
        try:
            async for answer in stream:
                yield self._block(answer)
        except grpc.aio.AioRpcError as error:
            raise DeliverError(self.target, f"{error.code().name}: {error.details()}") from error
        finally:
            stream.cancel()
        raise DeliverError(self.target, "the end of the stream")

    def _block(self, answer: events.DeliverResponse) -> common.Block:
        if answer.HasField("block"):
            return answer.block
        said = common.Status.Name(answer.status) if answer.status in common.Status.values() else str(answer.status)
        raise DeliverError(self.target, f"the status {said}", is_lasting=answer.status in LASTING)
