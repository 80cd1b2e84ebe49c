"""Runs one transaction on a block's state: gas, fee and sequence are kept when its messages fail; always one result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

from cosmos_wire.errors import ChainError, InvalidRequest, TxTooLarge, UnknownRequest
from cosmos_wire.protos import DecodeError, Message, abci, base_abci
from cosmos_wire.public_keys import SimpleKey
from cosmos_wire.tx import DecodedTx, decode, decode_body, pack_into
from ibc_core.host import Context, Event, EventLog, MessageRoute, Overlay
from microgrid import accounts
from microgrid.ante import Ante, Mode
from microgrid.errors import HandlerFault
from microgrid.events import marked, message_event, write
from microgrid.gas import GAS_LIMIT_MAX, LimitedGas, MeteredStore

M = TypeVar("M", bound=Message)
# Bodies that are decoded once for a dry run and the block that follows.
REMEMBERED, REMEMBERED_BYTES = 4_096, 1_024
LOG = logging.getLogger("microgrid.executor")
# What a handler raises when it is wrong. Kept out: failures of the machine (OSError, MemoryError, the database's own),
# which must stop the node, because other validators don't share them.
FAULTS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError, DecodeError
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a transaction; code 0 is success."""

    code: int = 0
    codespace: str = ""
    log: str = ""
    data: bytes = b""
    gas_wanted: int = 0
    gas_used: int = 0
    events: tuple[Event, ...] = ()

    def result(self) -> abci.ExecTxResult:
        """As a block's result."""
        made = abci.ExecTxResult()
        self.write_into(made)
        return made

    def write_into(self, made: abci.ExecTxResult) -> None:
        """Set an empty result, which may be a block's own already: a copy costs as much as making it."""
        made.code, made.codespace, made.log = self.code, self.codespace, self.log
        made.data, made.gas_wanted, made.gas_used = self.data, self.gas_wanted, self.gas_used
        write(self.events, made.events)

    def check(self) -> abci.ResponseCheckTx:
        """As the mempool's answer; without events, which CometBFT would only drop."""
        return abci.ResponseCheckTx(
            code=self.code,
            log=self.log,
            gas_wanted=self.gas_wanted,
            gas_used=self.gas_used,
            codespace=self.codespace,
        )


def refused(passed: Outcome, error: ChainError, log: str = "") -> Outcome:
    """`passed` with the refusal's code; the log is the refusal's own text unless another is given."""
    return replace(passed, code=error.code, codespace=error.codespace, log=log or str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """A transaction's one signer, whose key the ledger has checked, and what the transaction may use."""

    key: SimpleKey
    gas_limit: int
    output_bytes_max: int  # of events and state changes together
    key_bytes_max: int  # of a state key


class Executor:
    """The transactions' part of the state machine: pure in state and bytes."""

    def __init__(self, ante: Ante) -> None:
        self._ante = ante
        self._types: Mapping[str, type[Message]] = {url: route.request for url, route in ante.routes.items()}
        self._decoded_small = lru_cache(maxsize=REMEMBERED)(self._decoded)

    def check(self, ctx: Context, data: bytes, mode: Mode) -> Outcome:
        """The ante steps alone; `ctx` keeps fee and sequence when they pass."""
        try:
            decoded = decode(data, self._types)
        except ChainError as error:
            return refused(Outcome(), error)
        meter = LimitedGas(decoded.auth_info.fee.gas_limit)
        return self._ante_outcome(ctx, decoded, mode, meter)

    def deliver(self, ctx: Context, data: bytes) -> Outcome:
        """Ante steps and messages, in a block."""
        try:
            decoded = decode(data, self._types)
        except ChainError as error:
            return refused(Outcome(), error)
        meter = LimitedGas(decoded.auth_info.fee.gas_limit)
        passed = self._ante_outcome(ctx, decoded, Mode.DELIVER, meter)
        return passed if passed.code else self._run_messages(ctx, decoded, meter, passed)

    def simulate(self, ctx: Context, data: bytes) -> Outcome:
        """The same without signature and gas limit; `ctx` is to be dropped afterwards."""
        try:
            decoded = decode(data, self._types)
        except ChainError as error:
            return refused(Outcome(), error)
        meter = LimitedGas(GAS_LIMIT_MAX)
        passed = self._ante_outcome(ctx, decoded, Mode.SIMULATE, meter)
        return passed if passed.code else self._run_messages(ctx, decoded, meter, passed)

    def run_for(self, ctx: Context, body: bytes, signer: Authenticated) -> tuple[Outcome, Layer | None]:
        """A TxBody of a signer that the ledger has authenticated: no fee, no sequence, gas up to the signer's limit.

        The caller keeps the writes by `flush` of the layer, which is None when the transaction is refused.
        """
        meter = LimitedGas(signer.gas_limit)
        layer, wanted = Layer(ctx, meter), signer.gas_limit
        try:
            decoded = (self._decoded_small if len(body) <= REMEMBERED_BYTES else self._decoded)(body)
            self._ante.admit(layer.ctx, decoded, signer.key)
        except ChainError as error:
            return refused(Outcome(gas_wanted=wanted, gas_used=meter.used), error), None
        except FAULTS as fault:
            return refused(Outcome(gas_wanted=wanted, gas_used=meter.used), _fault(fault, "admission")), None
        outcome = self._messages(layer, decoded, Outcome(gas_wanted=wanted, events=tuple(layer.log.events)))
        if outcome.code:
            return outcome, None
        try:
            layer.measure(outcome, signer)
        except ChainError as error:
            return refused(Outcome(gas_wanted=wanted, gas_used=meter.used), error), None
        return outcome, layer

    def _decoded(self, body: bytes) -> DecodedTx:
        return decode_body(body, self._types)

    def _ante_outcome(self, ctx: Context, decoded: DecodedTx, mode: Mode, meter: LimitedGas) -> Outcome:
        layer = Layer(ctx, meter)
        wanted = min(decoded.auth_info.fee.gas_limit, GAS_LIMIT_MAX)
        error: ChainError | None = None
        try:
            self._ante.run(layer.ctx, decoded, mode)
        except ChainError as found:
            error = found
        except FAULTS as fault:
            error = _fault(fault, "ante")
        if error is not None:
            return refused(Outcome(gas_wanted=wanted, gas_used=meter.used), error)
        layer.flush()
        return Outcome(gas_wanted=wanted, gas_used=meter.used, events=tuple(layer.log.events))

    def _run_messages(self, ctx: Context, decoded: DecodedTx, meter: LimitedGas, passed: Outcome) -> Outcome:
        layer = Layer(ctx, meter)
        outcome = self._messages(layer, decoded, passed)
        if not outcome.code:
            layer.flush()
        return outcome

    def _messages(self, layer: Layer, decoded: DecodedTx, passed: Outcome) -> Outcome:
        """Run them into the layer; `passed` is what came before."""
        meter = layer.meter
        events = list(passed.events)
        answers = base_abci.TxMsgData()
        for i, (url, message) in enumerate(decoded.messages):
            try:
                layer.log.events = []
                response = self._run_message(layer.ctx, url, copied(message))
            except ChainError as error:
                return _failed_message(replace(passed, gas_used=meter.used), error, i)
            except FAULTS as fault:
                return _failed_message(replace(passed, gas_used=meter.used), _fault(fault, url), i)
            pack_into(answers.msg_responses.add(), response)
            events += marked(layer.log.events, "msg_index", str(i))
        return Outcome(
            data=answers.SerializeToString(deterministic=True),
            gas_wanted=passed.gas_wanted,
            gas_used=meter.used,
            events=tuple(events),
        )

    def _run_message(self, ctx: Context, url: str, message: Message) -> Message:
        route: MessageRoute | None = self._ante.routes.get(url)
        if route is None:
            raise UnknownRequest(f"can't route message {url}")
        from_field = getattr(message, route.signer)
        sender = from_field if isinstance(from_field, str) else from_field[0].address
        ctx.events.emit(message_event(url, message, sender))
        response = route.handle(ctx, message)
        assert isinstance(response, route.response), f"{url} answered a {type(response).__name__}"
        assert isinstance(response, Message)
        return response


class Layer:
    """Metered writes above a context, kept until `flush`."""

    __slots__ = ("_app", "_ibc", "_settled", "ctx", "log", "meter", "size")

    def __init__(self, under: Context, meter: LimitedGas) -> None:
        self.meter, self.size = meter, 0
        self._settled = False
        self._app, self._ibc, self.log = Overlay(under.app), Overlay(under.ibc), EventLog()
        self.ctx = Context(
            env=under.env,
            app=MeteredStore(self._app, meter),
            ibc=MeteredStore(self._ibc, meter),
            events=self.log,
            gas=meter,
        )

    def settle(self) -> None:
        """Make accounts for new holders: the last writes."""
        self._settled = True
        new = accounts.without_account(self._app, self._app.order)
        if new:
            ctx = self.ctx
            unmetered = Context(env=ctx.env, app=self._app, ibc=ctx.ibc, events=ctx.events, gas=ctx.gas)
            accounts.create_each(unmetered, new)

    def flush(self) -> None:
        """Settle, and hand all writes down."""
        if not self._settled:
            self.settle()
        self._app.flush()
        self._ibc.flush()

    def measure(self, outcome: Outcome, signer: Authenticated) -> None:
        """Settle, and set `size` to the bytes that a ledger has to carry; raises when they are beyond its limits."""
        self.settle()
        size, key_bytes_max = len(outcome.data), signer.key_bytes_max
        for item in outcome.events:
            for name, text in item.attributes:
                size += len(name) + len(text)
        for store in (self._app, self._ibc):
            for key, value in store.changes.items():
                if len(key) > key_bytes_max:
                    raise InvalidRequest(f"state key: expected at most {key_bytes_max} bytes, got {len(key)}")
                size += 2 * len(key) + (0 if value is None else len(value))
        if size > signer.output_bytes_max:
            raise TxTooLarge(f"events and changes: expected at most {signer.output_bytes_max} bytes, got {size}")
        self.size = size


def copied(message: M) -> M:
    """A copy that a handler may do with what it likes: the one decoded may be run again."""
    made = type(message)()
    made.CopyFrom(message)
    return made


def _failed_message(passed: Outcome, error: ChainError, index: int) -> Outcome:
    return refused(passed, error, f"failed to execute message; message index: {index}: {error}")


def _fault(fault: Exception, where: str) -> ChainError:
    LOG.error("handler fault in %s", where, exc_info=fault)
    return HandlerFault(f"{where} met a state it can't handle")
