"""Two chains in one process with every module, whose blocks are recorded as a node's public RPC would tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any as Whatever

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.json_format import MessageToDict

from bsmg.audit.headers import results_hash
from bsmg.audit.record import BlockRecord, ChainRecord, FinalState, TxRecord
from cosmos_wire import canonical
from cosmos_wire.address import from_bech32, to_bech32
from cosmos_wire.errors import ChainError
from cosmos_wire.merkle import merkle_root
from cosmos_wire.protos import (
    Message,
    base_abci,
    client_tx,
    cmt_types,
    market,
    market_query,
    meter_tx,
    registry,
    registry_query,
    tendermint_client,
    trade_query,
    tx,
)
from cosmos_wire.tx import pack
from energy.market import state as market_state
from energy.market.defaults import default_params, params_document
from energy.market.module import Market
from energy.meter.module import Meter
from energy.meter.reading import sign_bytes
from energy.registry import Registry
from energy.trade import Trade
from ibc_core import bank
from ibc_core.host import Event, EventLog
from ibc_core.tendermint.times import timestamp
from microgrid.bank_module import BankModule
from microgrid.forwarding import TransferForwarder
from tests.ibc.harness import START_NS, Chain, Coordinator, account, address
from tests.tendermint.testgen import Members, powers_of, sign_commit
from tests.trade.pair import small_params

SECOND = 10**9
SLOT = START_NS // (100 * SECOND) + 10  # of 100 s
RICH = 10**18
CELLS = 5
POOR = 5  # this cell has no collateral
FEE = 7
UTILITY = address("utility")
SUBSIDISED = (market.MECHANISM_VICKREY, market.MECHANISM_VCG)
VALIDATORS = Members(powers_of(["ann", "bob", "eve", "joe"]))


def cell_address(number: int) -> str:
    return address(f"cell {number}")


def device_key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))


def denom_of(chain_id: str) -> str:
    return "b" + chain_id.removesuffix("-1")


def feeder(weak_W: int = 4_000) -> registry.Feeder:
    """Buses 1..5 in a row behind the root 0, with 3 and 4 on weak branches."""
    made = registry.Feeder(s_base_W=10_000, v0_permille=1000, vmin_permille=950, vmax_permille=1050)
    made.mode = registry.SECURITY_MODE_CHAIN
    for bus, above in ((2, 1), (3, 2), (1, 0), (4, 2), (5, 1)):
        power = weak_W if bus in (3, 4) else 40_000
        made.branches.add(from_bus=above, to_bus=bus, r_pu_q30=2**22, x_pu_q30=2**21, s_max_W=power)
    return made


def fees() -> market.FeeTable:
    """Cells 3 to 5 are at the main grid; no sum of shares gives this table."""
    made = market.FeeTable(dno_e4=1_500, mo_e4=700)
    made.areas.add(to_e4=[500, 2_000])
    made.areas.add(buses=[3, 4, 5], kind=1, to_e4=[3_000, 250])
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What tests vary."""

    mechanism: int = market.MECHANISM_UNIFORM_K
    settle_units: int = 50
    balancing: int = RICH
    cell_collateral: int = RICH
    subsidy: int = RICH
    feeder: bool = False
    special: bool = False  # commits, the forward market
    fees: bool = False  # two fee areas, one at the main grid


class RecordedChain(Chain):
    """One chain; every `deliver` is a block with one transaction."""

    options = Options()

    def __init__(self, chain_id: str, net: Coordinator, apps: Mapping[str, Whatever]) -> None:
        super().__init__(chain_id, net, apps)
        self.denom = denom_of(chain_id)
        self.registry = Registry()
        self.market = Market(self.registry)
        trade = Trade(self.core, forwarder=TransferForwarder(self.transfer))
        self.router["trade"] = trade
        self.modules.insert(0, BankModule())
        self.modules += [self.registry, self.market, Meter(self.market, self.registry), trade]
        self.blocks: list[BlockRecord] = []
        self.totals: dict[int, tuple[int, int]] = {}
        self.doc: dict[str, Whatever] = {}

    # genesis

    def genesis(self, docs: Mapping[str, Mapping[str, object]]) -> None:
        assert not docs, "this chain makes its own"
        self.doc = self._document()
        ctx = self.context()
        for module in self.modules:
            module.init_genesis(ctx, self.doc.get(module.name, {}))
        self.height = 0
        self.deliver()

    def market_params(self) -> market.Params:
        """Those in force."""
        return self.query("/bsmg.market.v1.Query/Params", market_query.QueryParamsRequest()).params

    def _document(self) -> dict[str, Whatever]:
        options, numbers = self.options, range(1, CELLS + 1)
        params = default_params(100_000, 100_000, self.denom, UTILITY, SLOT)
        params.mechanism, params.settle_units = options.mechanism, options.settle_units
        params.balancing_min = "1"
        if options.special:
            params.commit_permille, params.unrevealed_permille, params.forward_lead = 500, 100, 1
        if options.mechanism == market.MECHANISM_TARIFF:
            params.tariff_e4 = 55_000
        if options.mechanism in SUBSIDISED:
            params.max_orders_per_slot, params.subsidy_max = 200, str(options.subsidy)
        trade = small_params(UTILITY, self.denom, cap_e4=100_000)
        rich = [cell_address(number) for number in numbers] + [UTILITY, address("alice")]
        held = dict.fromkeys(rich, RICH)
        held[to_bech32(market_state.COLLATERAL)] = options.cell_collateral * (CELLS - 1)
        held[to_bech32(market_state.BALANCING)] = options.balancing
        if options.mechanism in SUBSIDISED:
            held[to_bech32(market_state.SUBSIDY)] = options.subsidy
        coins = [{"address": who, "coins": [{"denom": self.denom, "amount": str(n)}]} for who, n in held.items() if n]
        cells = [
            {
                "id": f"cell{number}@mg",
                "address": cell_address(number),
                "bus": number,
                "max_import_W": 10_000,
                "max_export_W": 10_000,
                "collateral": "0" if number == POOR else str(options.cell_collateral),
                "tan_phi_permille": 300 if options.feeder else 0,
                "inverter_VA": 12_000 if options.feeder else 0,
            }
            for number in numbers
        ]
        return {
            "state_version": 1,
            "bank": {"balances": coins},
            "registry": {
                "params": {"utility": UTILITY, "microgrid": "mg"},
                "cells": cells,
                "devices": [_device(number) for number in numbers],
                **({"feeder": MessageToDict(feeder())} if options.feeder else {}),
            },
            "market": {"params": params_document(params), **({"fees": MessageToDict(fees())} if options.fees else {})},
            "trade": {"params": MessageToDict(trade, preserving_proto_field_name=True)},
        }

    # blocks

    def deliver(self, *messages: Message) -> list[Whatever]:
        ctx, time_ns = self.context(), self.net.time_ns
        for module in self.modules:
            module.begin_block(ctx)
        hooks = _taken(ctx.events, "mode", "BeginBlock")
        seen, responses, error, record = self._transaction(ctx, messages)
        for module in self.modules:
            module.end_block(ctx)
        hooks += _taken(ctx.events, "mode", "EndBlock")
        self.events = [*hooks, *seen]
        self._record(time_ns, () if record is None else (record,), tuple(hooks))
        self.commit()
        if error is not None:
            raise error
        return responses

    def _transaction(self, ctx: Whatever, messages: Sequence[Message]) -> Whatever:
        if not messages:
            return [], [], None, None
        body = tx.TxBody(messages=[pack(_as_tendermint(message)) for message in messages])
        payer, fee = self._fee(ctx, messages[0])
        info = tx.AuthInfo()
        if fee:
            info.fee.amount.add(denom=self.denom, amount=str(fee))
        raw = tx.TxRaw(body_bytes=body.SerializeToString(), auth_info_bytes=info.SerializeToString())
        text = f"{fee}{self.denom}" if fee else ""
        first = Event("tx", (("fee", text), ("fee_payer", payer)))
        seen: list[Event] = [first]
        answers, responses = base_abci.TxMsgData(), []
        try:
            with ctx.branch() as branch:
                for at, message in enumerate(messages):
                    responses.append(self.handle(branch, message))
                    answers.msg_responses.append(pack(responses[-1]))
                    seen += _taken(branch.events, "msg_index", str(at))
        except ChainError as refused:
            return [], [], refused, _result(raw.SerializeToString(), refused.code, b"", (first,))
        return seen, responses, None, _result(raw.SerializeToString(), 0, answers.SerializeToString(), tuple(seen))

    def _fee(self, ctx: Whatever, message: Message) -> tuple[str, int]:
        """Who signs, and a fee if that account holds any money; it is kept when the message fails."""
        routes = {url: route for module in self.modules for url, route in module.messages().items()}
        value = getattr(message, routes["/" + message.DESCRIPTOR.full_name].signer)
        payer = value if isinstance(value, str) else value[0].address
        fee = FEE if bank.balance(ctx, from_bech32(payer), self.denom) >= FEE else 0
        if fee:
            bank.send(ctx, from_bech32(payer), bank.module_address("fee_collector"), (self.denom, fee))
        return payer, fee

    def _record(self, time_ns: int, txs: tuple[TxRecord, ...], hooks: tuple[Event, ...]) -> None:
        before = self.blocks[-1] if self.blocks else None
        header = cmt_types.Header(
            chain_id=self.chain_id,
            height=len(self.blocks) + 1,
            time=timestamp(time_ns),
            data_hash=merkle_root([sha256(item.raw).digest() for item in txs]),
            validators_hash=VALIDATORS.hash,
            next_validators_hash=VALIDATORS.hash,
        )
        header.last_block_id.part_set_header.SetInParent()
        commit = None
        if before is not None:
            commit = commit_of(before)
            header.last_block_id.CopyFrom(commit.block_id)
            header.last_results_hash = results_hash(before)
        self.blocks.append(BlockRecord(header=header, txs=txs, hook_events=hooks, last_commit=commit))

    # what the node would say

    def record(self) -> ChainRecord:
        """All of it, as of the last block."""
        ctx = self.view()
        supply = dict(bank.supplies(ctx))
        owners = {
            (to_bech32(raw), denom): amount for denom in supply for raw, amount in bank.holders(ctx, denom) if amount
        }
        contracts = self.query("/bsmg.trade.v1.Query/Contracts", trade_query.QueryContractsRequest())
        cells = self.query("/bsmg.registry.v1.Query/Cells", registry_query.QueryCellsRequest()).cells
        return ChainRecord(
            chain_id=self.chain_id,
            genesis={"app_state": self.doc},
            blocks=tuple(self.blocks),
            final=FinalState(
                height=len(self.blocks),
                balances=owners,
                supply=supply,
                cells=tuple(cells),
                sold=tuple(contracts.seller),
                bought=tuple(contracts.buyer),
            ),
            validators={VALIDATORS.hash: VALIDATORS.message},
            last_commit=commit_of(self.blocks[-1]),
        )

    # what cells say

    def reading(self, number: int, bought: int, sold: int, *, missed: int = 0, slot: int = SLOT) -> meter_tx.Reading:
        """A signed reading; `missed` is import of slots before that was never read."""
        before = self.totals.get(number, (0, 0))
        self.totals[number] = before[0] + bought + missed, before[1] + sold
        made = meter_tx.Reading(device=f"meter{number}@mg", slot=slot, import_mWh=bought, export_mWh=sold)
        made.import_total_mWh, made.export_total_mWh = self.totals[number]
        made.signature = device_key(number).sign(sign_bytes(self.chain_id, made))
        return made


def _device(number: int) -> dict[str, str]:
    from base64 import b64encode

    key = b64encode(device_key(number).public_key().public_bytes_raw()).decode()
    return {"id": f"meter{number}@mg", "cell": f"cell{number}@mg", "pubkey": key}


def _taken(log: EventLog, name: str, value: str) -> list[Event]:
    """The events so far, marked as the application marks them; the log is empty afterwards."""
    found, log.events = log.events, []
    return [Event(event.type, (*event.attributes, (name, value))) for event in found]


def _as_tendermint(message: Message) -> Message:
    """The mock's clients follow a chain by its name alone; a record has Tendermint's client state."""
    if not isinstance(message, client_tx.MsgCreateClient):
        return message
    made = client_tx.MsgCreateClient()
    made.CopyFrom(message)
    state = tendermint_client.ClientState(chain_id=message.client_state.value.decode())
    made.client_state.type_url = "/ibc.lightclients.tendermint.v1.ClientState"
    made.client_state.value = state.SerializeToString()
    return made


def _result(raw: bytes, code: int, data: bytes, events: tuple[Event, ...]) -> TxRecord:
    return TxRecord(raw=raw, code=code, codespace="", data=data, gas_wanted=0, gas_used=0, events=events)


def commit_of(block: BlockRecord) -> cmt_types.Commit:
    """Signed by all validators."""
    made = cmt_types.Commit(height=block.height)
    made.block_id.hash = canonical.header_hash(block.header)
    made.block_id.part_set_header.total = 1
    sign_commit(block.header.chain_id, made, VALIDATORS, block.header.time)
    return made


def resealed(record: ChainRecord, blocks: Sequence[BlockRecord]) -> ChainRecord:
    """A record with other blocks under headers and commits that fit: what dishonest validators could sign."""
    done: list[BlockRecord] = []
    for block in blocks:
        header = cmt_types.Header()
        header.CopyFrom(block.header)
        header.data_hash = merkle_root([sha256(item.raw).digest() for item in block.txs])
        commit = None
        if done:
            commit = commit_of(done[-1])
            header.last_block_id.CopyFrom(commit.block_id)
            header.last_results_hash = results_hash(done[-1])
        done.append(replace(block, header=header, last_commit=commit))
    return replace(record, blocks=tuple(done), last_commit=commit_of(done[-1]))


def network(options: Options = Options()) -> Coordinator:
    """Two chains, mga-1 and mgb-1."""

    class Chosen(RecordedChain):
        pass

    Chosen.options = options
    return Coordinator("mga-1", "mgb-1", make=Chosen)


__all__ = ["SLOT", "Options", "RecordedChain", "account", "network"]
