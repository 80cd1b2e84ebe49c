"""What the host itself keeps in state: the last block, consensus parameters, validators' keys.

Keys: `sy/block` -> Header (chain id, height, time); `sy/params` -> ConsensusParams; `vk/` consensus address ->
ValidatorUpdate (ed25519 key and power); `vr/` consensus address -> height of removal (8 bytes, big-endian) and key of a
validator that was removed, for as long as a commit may still hold its vote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from cosmos_wire.protos import Timestamp, abci, cmt_params, cmt_types
from ibc_core.host import BlockEnv, Context, Store
from microgrid.errors import BrokenInvariantError

BLOCK, PARAMS, VALIDATOR, REMOVED = b"sy/block", b"sy/params", b"vk/", b"vr/"
REMOVED_KEPT = 3  # heights: an update of block h rules the commits of h + 2 on, which block h + 3 carries first
HEIGHT_BYTES = 8
CONSENSUS_ADDRESS_BYTES = 20
NO_PARAMS = b"\x00"  # a store keeps no empty value
NS = 1_000_000_000


def time_ns_of(time: Timestamp) -> int:
    """Block time in nanoseconds since 1970."""
    return int(time.seconds) * NS + int(time.nanos)


def write_block(ctx: Context) -> None:
    """Keep the block's own environment, so that queries of its height know it."""
    env = ctx.env
    header = cmt_types.Header(chain_id=env.chain_id, height=env.height)
    header.time.seconds, header.time.nanos = divmod(env.time_ns, NS)
    ctx.app.set(BLOCK, header.SerializeToString(deterministic=True))


def block_env(app: Store) -> BlockEnv:
    """The environment of the block whose state this is; height 0 and no chain id before the first."""
    raw = app.get(BLOCK)
    if raw is None:
        return BlockEnv(chain_id="", height=0, time_ns=0)
    header = cmt_types.Header.FromString(raw)
    return BlockEnv(chain_id=header.chain_id, height=header.height, time_ns=time_ns_of(header.time))


def write_params(ctx: Context, params: cmt_params.ConsensusParams) -> None:
    """Keep the consensus parameters of genesis."""
    ctx.app.set(PARAMS, params.SerializeToString(deterministic=True) or NO_PARAMS)


def params(app: Store) -> cmt_params.ConsensusParams:
    """The consensus parameters."""
    raw = app.get(PARAMS)
    return cmt_params.ConsensusParams.FromString(b"" if raw in (None, NO_PARAMS) else raw)


def extensions_from(app: Store) -> int:
    """The first height whose votes carry extensions, 0 when none ever does; genesis alone says it."""
    return int(params(app).abci.vote_extensions_enable_height)


def votes_enabled(ctx: Context) -> bool:
    """Whether this chain's validators can vote on what it asks them."""
    return extensions_from(ctx.app) > 0


def write_validators(ctx: Context, updates: Sequence[abci.ValidatorUpdate]) -> None:
    """Keep each validator's key and power; power 0 removes. ed25519 only (docs: the vote rules need it)."""
    for update in updates:
        if update.pub_key.WhichOneof("sum") != "ed25519":
            raise BrokenInvariantError(f"validator key: expected ed25519, got {update.pub_key.WhichOneof('sum')}")
        key = update.pub_key.ed25519
        address = sha256(key).digest()[:CONSENSUS_ADDRESS_BYTES]
        if update.power:
            ctx.app.set(VALIDATOR + address, update.SerializeToString(deterministic=True))
            ctx.app.delete(REMOVED + address)
        else:
            ctx.app.delete(VALIDATOR + address)
            ctx.app.set(REMOVED + address, ctx.env.height.to_bytes(HEIGHT_BYTES, "big") + key)


def forget_validators(ctx: Context) -> None:
    """Drop the keys of validators that were removed so long ago that no commit holds their votes."""
    for key, raw in list(ctx.app.iterate(REMOVED)):
        if int.from_bytes(raw[:HEIGHT_BYTES], "big") + REMOVED_KEPT < ctx.env.height:
            ctx.app.delete(key)


def consensus_keys(app: Store) -> dict[bytes, bytes]:
    """Consensus address -> ed25519 key, of validators and of those that were removed a moment ago."""
    found = {key[len(REMOVED) :]: raw[HEIGHT_BYTES:] for key, raw in app.iterate(REMOVED)}
    found.update((address, update.pub_key.ed25519) for address, update in validators(app))
    return found


def validators(app: Store) -> Iterator[tuple[bytes, abci.ValidatorUpdate]]:
    """(consensus address, key and power), ascending by address."""
    for key, value in app.iterate(VALIDATOR):
        yield key[len(VALIDATOR) :], abci.ValidatorUpdate.FromString(value)
