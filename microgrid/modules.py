"""The application's modules in their one fixed order, and what they offer together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from energy.market.module import Market
from energy.meter.module import Meter
from energy.registry.module import Registry
from energy.trade.module import Trade
from ibc_core.core import IbcCore
from ibc_core.fabric.client import FabricClient
from ibc_core.host import Context, MessageRoute, Module, QueryRoute
from ibc_core.light_client import ClientTypes
from ibc_core.router import IbcModule
from ibc_core.tendermint.client import TendermintClient
from ibc_core.transfer import Transfer, TransferV2
from ibc_core.transfer.ledger import PORT
from ibc_core.v2.router import IbcModuleV2
from microgrid import system
from microgrid.ante import RefuseRedundant
from microgrid.auth_module import AuthModule
from microgrid.bank_module import BankModule
from microgrid.errors import GenesisError
from microgrid.feegrant_module import FeegrantModule
from microgrid.forwarding import TRADE_PORT, TransferForwarder
from microgrid.host_modules import ConsensusModule, ParamsModule, UpgradeModule
from microgrid.staking_module import StakingModule
from microgrid.surroundings import TradeSurroundings

R = TypeVar("R")


class Modules:
    """Routes of all modules; hooks run in the order of `parts`."""

    def __init__(self, parts: Sequence[Module], refuse_redundant: RefuseRedundant | None = None) -> None:
        self.parts = tuple(parts)
        self.refuse_redundant = refuse_redundant
        self.messages: Mapping[str, MessageRoute] = _joined([part.messages() for part in parts])
        self.queries: Mapping[str, QueryRoute] = _joined([part.queries() for part in parts])
        for part in parts:
            if isinstance(part, UpgradeModule):
                part.module_names = tuple(each.name for each in parts)

    def tables(self) -> dict[str, tuple[str, ...]]:
        """Method paths and message URLs of each module, by its name."""
        return {part.name: (*part.queries(), *part.messages()) for part in self.parts}

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Each module's part of genesis; a missing part is an empty one."""
        for part in self.parts:
            found = doc.get(part.name, {})
            if not isinstance(found, dict):
                raise GenesisError(f"genesis app_state.{part.name}: expected an object, got {type(found).__name__}")
            part.init_genesis(ctx, found)

    def begin_block(self, ctx: Context) -> None:
        """Before the transactions."""
        for part in self.parts:
            part.begin_block(ctx)

    def end_block(self, ctx: Context) -> None:
        """After them."""
        for part in self.parts:
            part.end_block(ctx)


def base_parts() -> tuple[Module, ...]:
    """Accounts and coins first, for the others' genesis needs them."""
    return (
        AuthModule(),
        BankModule(),
        FeegrantModule(),
        StakingModule(),
        ConsensusModule(),
        UpgradeModule(),
        ParamsModule(),
    )


def compose() -> Modules:
    """The chain's modules."""
    router: dict[str, IbcModule] = {}
    router_v2: dict[str, IbcModuleV2] = {PORT: TransferV2()}
    types: ClientTypes = {TendermintClient.type_url: TendermintClient(), FabricClient.type_url: FabricClient()}
    core = IbcCore(types, router, router_v2)
    transfer = Transfer(core)
    registry = Registry(system.votes_enabled)
    market = Market(registry)
    trade = Trade(core, forwarder=TransferForwarder(transfer), around=TradeSurroundings(market))
    market.on_voided.append(trade.slot_voided)
    router.update({PORT: transfer, TRADE_PORT: trade})
    energy: tuple[Module, ...] = (registry, market, Meter(market, registry), trade)
    return Modules([*base_parts(), core, transfer, *energy], core.refuse_redundant)


def _joined(tables: Sequence[Mapping[str, R]]) -> dict[str, R]:
    joined: dict[str, R] = {}
    for table in tables:
        for key, route in table.items():
            if key in joined:
                raise ValueError(f"{key} is routed twice")
            joined[key] = route
    return joined
