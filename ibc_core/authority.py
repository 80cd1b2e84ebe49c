"""Who may change what IBC itself runs on: recover a client, set parameters.

On an SDK chain it is the governance module's account. These chains have no governance: the genesis may name an address
(`ibc.authority`, a multisig of the validators' operators, say), and without one nobody has the right. The refusal then
names the governance account, as it does everywhere: it has no key.
"""

from __future__ import annotations

from cosmos_wire.address import from_bech32, to_bech32
from ibc_core.bank import module_address
from ibc_core.errors import IbcUnauthorized
from ibc_core.host import Context

KEY = b"ib/a"
NOBODY = to_bech32(module_address("gov"))


def authority(ctx: Context) -> str:
    """Address, bech32; that of the governance account, which nobody can sign for, when genesis named none."""
    stored = ctx.app.get(KEY)
    return NOBODY if stored is None else to_bech32(stored)


def set_authority(ctx: Context, address: str) -> None:
    """Name it; raises InvalidAddress for what is no address."""
    ctx.app.set(KEY, from_bech32(address))


def require_authority(ctx: Context, signer: str) -> None:
    """Refuse everybody else (IbcUnauthorized)."""
    expected = authority(ctx)
    if signer != expected:
        raise IbcUnauthorized(f"expected {expected}, got {signer}")
