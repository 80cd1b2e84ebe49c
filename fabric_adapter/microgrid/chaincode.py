"""The chaincode `microgrid`; ledgers take it as `fabric_adapter.microgrid.chaincode:MicrogridChaincode`.

Genesis DOCUMENT      once: writes the first state, tick 1
Submit BODY           a TxBody of the creator's; tried on the image, then put under `inbox/`
Tick ARGS             the writer's: executes waiting transactions as a block
Look ARGS             the writer's, evaluated before a Tick: remembers what waits; answers what is not there
Attest ARGS           endorsed and never submitted: what light clients elsewhere believe
Approve RECORD        an administrator's yes to the next membership
Adopt RECORD          writes the next membership when enough organisations approved it
Query PATH REQUEST    evaluated: the modules' query methods on the last tick
Load                  evaluated: reads the image off the ledger

Refusals answer status 400 and `codespace/code: log`; a process without image answers 500 and `image not loaded`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from threading import Lock

from cosmos_wire.errors import BsmgError, ChainError, ToolError
from cosmos_wire.protos import fabric_microgrid
from fabric_adapter.microgrid import app_log, inbox, layout, membership
from fabric_adapter.microgrid.errors import (
    AlreadyFounded,
    InvalidCall,
    NoImageError,
    WrongTickHeight,
    WrongTickTime,
)
from fabric_adapter.microgrid.genesis import read_genesis
from fabric_adapter.microgrid.image import Image, Proposed, State, state_of, store_of
from fabric_adapter.microgrid.inbox import InboxTx, Seen
from fabric_adapter.microgrid.machine import Machine, Made, taken
from fabric_adapter.microgrid.queries import answer
from fabric_adapter.stub import FAILED, REFUSED, Response, Stub
from fabric_wire import strict
from fabric_wire.msp import Role
from ibc_core.fabric import records
from ibc_core.fabric.membership import read_members
from ibc_core.fabric.records import Scope, TickRecord
from ibc_core.host import BlockEnv
from microgrid.executor import Outcome
from microgrid.state_api import APP, IBC

TickArgs = fabric_microgrid.TickArgs
NAMESPACE = "microgrid"  # the name under which the chaincode has to be defined: attestations carry it
CLOCK_SKEW_NS = 30 * 10**9  # a tick's time may be this far from the endorser's clock
LISTED_MAX = 10_000  # a Tick executes as many as it may, from the first on
SCAN_PAIRS = 50_000  # of one range query: below every limit that a peer has for one
WRITERS = (Role.PEER, Role.ADMIN)
Clock = Callable[[], int]  # ns since 1970


class RefusedTxError(ToolError):
    """The dry run's refusal: `codespace/code: log`."""


class MicrogridChaincode:
    """One peer's; any thread may call."""

    def __init__(self, clock: Clock = time.time_ns) -> None:
        self._clock = clock
        self._machine = Machine()
        self._image = Image()
        self._seen = Seen()
        self._loading = Lock()
        self._functions: Mapping[bytes, tuple[Callable[..., bytes], int]] = {
            b"Genesis": (self.genesis, 1),
            b"Submit": (self.submit, 1),
            b"Tick": (self.tick, 1),
            b"Look": (self.look, 1),
            b"Attest": (self.attest, 1),
            b"Approve": (self.approve, 1),
            b"Adopt": (self.adopt, 1),
            b"Query": (self.query, 2),
            b"Load": (self.load, 0),
        }

    def for_stream(self) -> MicrogridChaincode:
        """One for another peer: each has an image of its own."""
        return MicrogridChaincode(self._clock)

    def invoke(self, stub: Stub) -> Response:
        """Run the function that the first argument names."""
        try:
            return Response(payload=self._call(stub))
        except NoImageError as error:
            return Response(status=FAILED, message=str(error))
        except ChainError as error:
            return Response(status=REFUSED, message=f"{error.codespace}/{error.code}: {error}")
        except BsmgError as error:
            return Response(status=REFUSED, message=str(error))

    def _call(self, stub: Stub) -> bytes:
        name, *args = stub.args or (b"",)
        if name not in self._functions:
            known = ", ".join(each.decode() for each in self._functions)
            raise InvalidCall(f"function: expected one of {known}, got {name[:64]!r}")
        function, count = self._functions[name]
        if len(args) != count:
            raise InvalidCall(f"{name.decode()}: expected {count} arguments, got {len(args)}")
        return function(stub, *args)

    def genesis(self, stub: Stub, document: bytes) -> bytes:
        """Write the first state."""
        if stub.get_state(layout.GENESIS) is not None:
            raise AlreadyFounded("expected a channel without genesis, got a second one")
        doc = read_genesis(document)
        membership.creator(stub, read_members(doc.membership), *WRITERS)
        ahead_ns = doc.time_ns - self._clock()
        if ahead_ns > CLOCK_SKEW_NS:
            raise WrongTickTime(f"genesis time: expected at most {CLOCK_SKEW_NS} ns ahead, got {ahead_ns} ns")
        env = BlockEnv(chain_id=doc.chain_id, height=1, time_ns=doc.time_ns)
        made = self._machine.found(env, doc.app_state, doc.membership.version)
        stub.put_state(layout.GENESIS, layout.genesis_record(doc.chain_id, document))
        stub.put_state(records.membership_key(doc.membership.version), strict.write(doc.membership))
        _write(stub, made)
        return b""

    def submit(self, stub: Stub, body: bytes) -> bytes:
        """Try the transaction and let it wait."""
        ticket, tx = layout.ticket(stub.timestamp_ns, stub.tx_id), taken(body, stub.creator)
        outcome = self._tried(tx, stub.timestamp_ns)
        if outcome.code:
            raise RefusedTxError(f"{outcome.codespace}/{outcome.code}: {outcome.log}")
        stub.put_state(layout.inbox_key(ticket), strict.write(tx))
        return b""

    def _tried(self, tx: InboxTx, time_ns: int) -> Outcome:
        """On the state of the tick that was made last; on the one before, if it is lost; behind gates that are due."""
        views = self._image.views
        if not views:
            raise NoImageError("none")
        last = self._machine.try_out(views[-1], time_ns, tx)
        if last.code == 0:
            return last
        for state in views[:-1]:
            before = self._machine.try_out(state, time_ns, tx)
            if before.code == 0:
                return before
        if abs(time_ns - self._clock()) > CLOCK_SKEW_NS:
            return last  # no tick will have such a time, and years of gates take their time
        due = self._machine.try_due(views[-1], time_ns, tx)
        return last if due is None or due.code else due

    def tick(self, stub: Stub, data: bytes) -> bytes:
        """Execute what waits."""
        args, last = _tick_args(data), _last_for_writer(stub)
        self._require_next(last, args.height, stub.timestamp_ns)
        state = self._image.at(last)
        if state is None:
            raise NoImageError(f"another state than that of tick {last.height}")
        version = membership.newest(stub, last)
        record = TickRecord(height=args.height, time_ns=stub.timestamp_ns, membership_version=version)
        listed = self._seen.all(last.state_hash, args.tickets) if args.seen else inbox.read(stub, args.tickets)
        made = self._machine.tick(state, record, listed)
        _write(stub, made)
        found = Proposed(parent=state, record=made.record, changes=made.changes, buckets=made.buckets)
        self._image.propose(found)
        return b""

    def look(self, stub: Stub, data: bytes) -> bytes:
        """Remember what waits behind the last tick; answers the listed tickets that are not there, joined."""
        args, last = _tick_args(data), _last_for_writer(stub)  # the tick first: what is there later was there then
        if args.height != last.height + 1:
            raise WrongTickHeight(f"expected height {last.height + 1}, got {args.height}")
        found = inbox.look(stub, args.tickets)
        self._seen.keep(last.state_hash, found)
        return b"".join(ticket for ticket in args.tickets if ticket not in found)

    def _require_next(self, last: TickRecord, height: int, time_ns: int) -> None:
        if height != last.height + 1:
            raise WrongTickHeight(f"expected height {last.height + 1}, got {height}")
        if time_ns <= last.time_ns:
            raise WrongTickTime(f"expected more than {last.time_ns} ns, that of tick {last.height}, got {time_ns} ns")
        off_ns = time_ns - self._clock()
        if abs(off_ns) > CLOCK_SKEW_NS:
            raise WrongTickTime(f"expected within {CLOCK_SKEW_NS} ns of the endorser's clock, got {off_ns} ns off it")

    def attest(self, stub: Stub, data: bytes) -> bytes:
        """Write attestations of committed state."""
        chain_id = layout.chain_id_of(stub.get_state(layout.GENESIS))
        scope = Scope(chain_id=chain_id, channel_id=stub.channel_id, namespace=NAMESPACE)
        for write in records.attest(scope, data, stub.get_state):
            stub.put_state(write.key, write.value)
        return b""

    def approve(self, stub: Stub, data: bytes) -> bytes:
        """An organisation's yes to the next membership."""
        membership.approve(stub, data)
        return b""

    def adopt(self, stub: Stub, data: bytes) -> bytes:
        """The next membership, approved by enough."""
        membership.adopt(stub, data)
        return b""

    def query(self, stub: Stub, path: bytes, request: bytes) -> bytes:
        """Answer from the last tick."""
        return answer(self._machine.modules, self._current(stub), path, request)

    def load(self, stub: Stub) -> bytes:
        """Read the image, unless this process has it."""
        return str(self._current(stub).record.height).encode()

    def _current(self, stub: Stub) -> State:
        """The state of the ledger's last tick; scans the ledger when this process does not know it."""
        record = layout.read_tick(stub.get_state(records.TICK))
        found = self._image.at(record)
        if found is not None:
            return found
        with self._loading:
            found = self._image.at(record) or _read(stub, record)
        self._image.load(found)
        return found


def _tick_args(data: bytes) -> TickArgs:
    args = strict.read(TickArgs, data, InvalidCall)
    if len(args.tickets) > LISTED_MAX or len(set(args.tickets)) != len(args.tickets):
        raise InvalidCall(f"expected at most {LISTED_MAX} transactions, each once, got {len(args.tickets)}")
    if wrong := next((each for each in args.tickets if len(each) != layout.TICKET_BYTES), b""):
        raise InvalidCall(f"ticket: expected {layout.TICKET_BYTES} bytes, got {len(wrong)}")
    return args


def _last_for_writer(stub: Stub) -> TickRecord:
    """The ledger's last tick; raises NotWriter unless the creator may write the next one."""
    last = layout.read_tick(stub.get_state(records.TICK))
    membership.creator(stub, membership.in_force(stub, last.membership_version), *WRITERS)
    return last


def _write(stub: Stub, made: Made) -> None:
    for key, value in made.written:
        if value is None:
            stub.del_state(key)
        else:
            stub.put_state(key, value)
    stub.put_state(records.TICK, strict.write(made.record))
    stub.set_event(layout.EVENT, strict.write(made.event))


def _read(stub: Stub, record: TickRecord) -> State:
    """The ledger's state."""
    app = app_log.read(stub, record.height)
    return state_of(record, {APP: store_of(app), IBC: store_of(_scan(stub, IBC))}, app_log.buckets_of(app))


def _scan(stub: Stub, store: str) -> dict[bytes, bytes]:
    """All keys of a store that lie alone, in queries of bounded length: peers end a longer one without a word."""
    start, end = layout.bounds(store)
    found: dict[bytes, bytes] = {}
    while True:
        pairs = list(islice(stub.range(start, end), SCAN_PAIRS))
        found.update((bytes.fromhex(key[len(store) + 1 :]), value) for key, value in pairs)
        if len(pairs) < SCAN_PAIRS:
            return found
        start = pairs[-1][0] + "0"  # the next possible key
