"""Explicit-state model of `bsmg-trade-1`: two chains, one or two contracts, an adversarial relayer (docs/trade.md 9).

A state is a tuple of integers: globals first, then `WIDTH` fields a contract. Time has nine ticks; fresh block times of
the two chains differ by at most one, a chain may stand still and then jump. `steps` yields (label, next state).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

T_LOCK, T_GATE, T_ACT, T_END, T_METER, T_DISP, END = 1, 1, 2, 3, 4, 5, 8
SKEW = 1
T_CLOSE = T_DISP + SKEW + 1
PRICE, NUM, DEN, TOL, WANT, LEAST = 3, 2, 3, 1, 4, 1
NONE, RESERVED, ACTIVE, S_SETTLED, CANCELLED = range(5)
FREE, LOCKED, CONFIRMED, COMMITTED, B_SETTLED, REFUNDED, LAPSED = range(7)
UNSENT, SENT, OK, ERR = range(4)  # a packet at its receiver
PENDING, ACKED, TIMED_OUT = range(3)  # a packet at its sender
GATE_UNKNOWN, GATE_PASSED, GATE_HALTED = range(3)
LIVE, FROZEN, RECOVERED = range(3)
GLOBALS = [
    "t_s",
    "t_b",
    "client_s",
    "client_b",
    "gate_s",
    "gate_b",
    "export",
    "import_s",
    "arbiter",
    "decided",
    "offer_left",
    "offer_collateral",
    "own",
    "meter",
    "collateral",
    "escrow",
    "seller_s",
    "buyer_s",
    "pool_s",
    "seller_b",
    "buyer_b",
    "pool_b",
    "truth",
]
FIELDS = [
    "s",
    "e",
    "col",
    "claim",
    "lo",
    "hi",
    "b",
    "eb",
    "esc",
    "blo",
    "bhi",
    "out",
    "lock",
    "lock_end",
    "eq",
    "eq_end",
    "settlement",
]
(
    TS,
    TB,
    FS,
    FB,
    HS,
    HB,
    X,
    M,
    A,
    DEC,
    OFF,
    OCOL,
    OWN,
    MP,
    COL,
    ESC,
    SEL_S,
    BUY_S,
    POOL_S,
    SEL_B,
    BUY_B,
    POOL_B,
    TRUE,
) = range(len(GLOBALS))
(s_, e_, col_, claim_, lo_, hi_, b_, eb_, esc_, blo_, bhi_, out_, L_, Ld_, Q_, Qd_, T_) = range(len(FIELDS))
BASE, WIDTH, BUYER0, SELLER0 = len(GLOBALS), len(FIELDS), 60, 30
State = tuple[int, ...]
Step = tuple[str, list[int]]


def put(g: State | list[int], place: int, value: int) -> list[int]:
    n = list(g)
    n[place] = value
    return n


def cost(e: int) -> int:
    """What B locks: rounded up."""
    return -(-PRICE * e * DEN // NUM)


def pay(d: int) -> int:
    """What the seller gets on B: rounded down."""
    return PRICE * d * DEN // NUM


def collateral(e: int) -> int:
    return PRICE * e // 2


def penalty(e: int, d: int) -> int:
    return min(collateral(e), PRICE * max(0, e - TOL - d) // 2)


def split(total: int, energies: list[int]) -> list[int]:
    """Pro rata by energy, remainder in order, never above the contract."""
    whole = sum(energies)
    if total >= whole:
        return list(energies)
    got = [total * e // whole for e in energies]
    for i, e in enumerate(energies):
        got[i] += min(total - sum(got), e - got[i])
    return got


def named(g: State | list[int]) -> dict[str, int]:
    """A state with names, for messages."""
    found = dict(zip(GLOBALS, g, strict=False))
    for i in range((len(g) - BASE) // WIDTH):
        for place, name in enumerate(FIELDS):
            found[f"{name}{i}"] = g[BASE + WIDTH * i + place]
    return found


@dataclass(frozen=True)
class Bounds:
    """What a run explores."""

    contracts: int = 1
    offer: int = 4
    truths: tuple[int, ...] = (0, 4)
    lies: tuple[int, ...] = (0, 3, 4, 5)
    freeze: bool = True
    halt: bool = True
    cancel: bool = True
    arbiter: bool = True


@dataclass
class Model:
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        self.idx = [BASE + WIDTH * i for i in range(self.bounds.contracts)]

    def start(self) -> Iterator[State]:
        for truth in self.bounds.truths:
            g = [0] * (BASE + WIDTH * self.bounds.contracts)
            g[X] = g[M] = g[A] = g[OWN] = -1
            g[OFF], g[TRUE] = self.bounds.offer, truth
            g[OCOL] = g[COL] = collateral(self.bounds.offer)
            g[SEL_S], g[BUY_B] = SELLER0 - g[COL], BUYER0
            yield tuple(g)

    # S

    def cancel_s(self, g: list[int], c: int, *, tell: bool) -> None:
        g[c + s_], g[c + claim_] = CANCELLED, 0
        g[COL], g[SEL_S], g[c + col_] = g[COL] - g[c + col_], g[SEL_S] + g[c + col_], 0
        if tell and g[FS] != FROZEN:
            g[c + T_] = SENT

    @staticmethod
    def disputed(g: State | list[int]) -> bool:
        return g[X] >= 0 and g[M] >= 0 and abs(g[X] - g[M]) > TOL

    @staticmethod
    def judged(g: list[int]) -> tuple[int, int]:
        x, m, a = g[X], g[M], g[A]
        if x < 0 or m < 0:
            return max(x, m, 0), max(x, m, 0)
        if abs(x - m) <= TOL:
            return (x + m) // 2, (x + m) // 2
        if a >= 0:
            middle = sorted((x, m, a))[1]
            return middle, middle
        return min(x, m), max(x, m)

    def decide(self, g: list[int]) -> None:
        lo, hi = self.judged(g)
        blank = g[X] < 0 and g[M] < 0
        g[DEC] = 1
        active = [c for c in self.idx if g[c + s_] == ACTIVE]
        energies = [g[c + e_] for c in active]
        for c, dlo, dhi in zip(active, split(lo, energies), split(hi, energies), strict=True):
            fined, paid = (0, 0) if blank else (penalty(g[c + e_], dlo), penalty(g[c + e_], dhi))
            g[c + s_], g[c + lo_], g[c + hi_], g[c + claim_] = S_SETTLED, dlo, dhi, 0
            g[BUY_S], g[POOL_S] = g[BUY_S] + paid, g[POOL_S] + fined - paid
            g[SEL_S], g[COL], g[c + col_] = g[SEL_S] + g[c + col_] - fined, g[COL] - g[c + col_], 0
            if g[FS] != FROZEN:
                g[c + T_] = SENT

    def any_active(self, g: State | list[int]) -> bool:
        return any(g[c + s_] == ACTIVE for c in self.idx)

    def sweep_s(self, g: list[int]) -> None:
        if g[TS] >= T_ACT:
            for c in self.idx:
                if g[c + s_] == RESERVED:
                    self.cancel_s(g, c, tell=False)
            g[SEL_S], g[COL], g[OCOL] = g[SEL_S] + g[OCOL], g[COL] - g[OCOL], 0
        if not g[DEC] and self.any_active(g):
            both = g[X] >= 0 and g[M] >= 0
            if (g[TS] >= T_METER and not both) or g[TS] >= T_DISP:
                self.decide(g)

    def both_read(self, g: list[int]) -> None:
        if g[X] >= 0 and g[M] >= 0 and not self.disputed(g) and self.any_active(g):
            self.decide(g)

    def acts_s(self, g: State) -> Iterator[Step]:
        for i, c in enumerate(self.idx):
            if g[FS] != FROZEN:
                yield from self.receive_s(g, i, c)
            if self.bounds.cancel and g[c + s_] == ACTIVE and g[TS] < T_END:
                n = list(g)
                self.cancel_s(n, c, tell=True)
                yield f"S remove {i}", n
        yield from self.meter_s(g)

    @staticmethod
    def receive_s(g: State, i: int, c: int) -> Iterator[Step]:
        t = g[TS]
        if g[c + L_] == SENT and t < T_LOCK:
            n, e = list(g), min(WANT, g[OFF])
            if e >= LEAST and g[HS] != GATE_HALTED:
                n[c + s_], n[c + e_], n[c + col_], n[c + L_] = RESERVED, e, collateral(e), OK
                n[OFF], n[OCOL] = n[OFF] - e, n[OCOL] - n[c + col_]
            else:
                n[c + L_] = ERR
            yield f"S recv LOCK {i}", n
        if g[c + Q_] == SENT and t < T_ACT:
            n = list(g)
            n[c + Q_] = ERR
            if g[c + s_] == RESERVED:
                n[c + s_], n[c + Q_] = ACTIVE, OK
                n[c + claim_] = cost(g[c + e_]) * NUM // DEN
            yield f"S recv EQUIVALENCE {i}", n
        ended = g[c + s_] == S_SETTLED or (g[c + s_] == CANCELLED and g[c + Q_] == OK)
        if g[c + T_] == UNSENT and t < T_CLOSE and ended:
            yield f"S resend SETTLEMENT {i}", put(g, c + T_, SENT)

    def meter_s(self, g: State) -> Iterator[Step]:
        t, metering = g[TS], not g[DEC] and self.any_active(g)
        if metering and g[X] < 0 and T_END <= t < T_METER:
            for x in self.bounds.lies:
                n = put(g, X, x)
                self.both_read(n)
                yield f"S export {x}", n
        if metering and self.bounds.arbiter and g[A] < 0 and self.disputed(g) and t < T_DISP:
            n = put(g, A, g[TRUE])
            self.decide(n)
            yield "S arbiter", n
        if g[FS] != FROZEN and g[MP] == SENT and t < T_METER and not g[DEC]:
            n = put(put(g, MP, OK), M, g[OWN])
            self.both_read(n)
            yield "S recv METER", n

    # B

    @staticmethod
    def release(g: list[int], c: int, state: int, lo: int = 0, hi: int = 0) -> None:
        """The only place where escrow leaves a contract for good."""
        esc, seller, charged = g[c + esc_], pay(lo), cost(hi)
        g[c + b_], g[c + esc_], g[c + blo_], g[c + bhi_] = state, 0, lo, hi
        g[ESC], g[SEL_B], g[POOL_B] = g[ESC] - esc, g[SEL_B] + seller, g[POOL_B] + charged - seller
        g[BUY_B], g[c + out_] = g[BUY_B] + esc - charged, g[c + out_] + 1

    def sweep_b(self, g: list[int]) -> None:
        for c in self.idx:
            if g[c + b_] in (LOCKED, CONFIRMED) and (g[TB] >= T_ACT or g[HB] == GATE_HALTED):
                self.release(g, c, REFUNDED)
        if g[TB] >= T_CLOSE:
            mine = [c for c in self.idx if g[c + b_] in (COMMITTED, B_SETTLED)]
            shares = split(max(g[OWN], 0), [g[c + eb_] for c in mine]) if mine else []
            for c, d in zip(mine, shares, strict=True):
                if g[c + b_] == COMMITTED:
                    self.release(g, c, LAPSED, d, d)

    def acts_b(self, g: State) -> Iterator[Step]:
        live = g[FB] != FROZEN
        for i, c in enumerate(self.idx):
            if live:
                yield from self.lock_b(g, i, c)
                yield from self.equivalence_b(g, i, c)
                yield from self.settlement_b(g, i, c)
        if g[OWN] < 0 and T_END <= g[TB] < T_METER and any(g[c + b_] == COMMITTED for c in self.idx):
            for m in self.bounds.lies:
                yield f"B import {m}", put(put(g, OWN, m), MP, SENT if live else UNSENT)
        if live and g[OWN] >= 0 and g[MP] == UNSENT and g[TB] < T_METER:
            yield "B resend METER", put(g, MP, SENT)

    def lock_b(self, g: State, i: int, c: int) -> Iterator[Step]:
        b = g[c + b_]
        if b == FREE and g[TB] < T_LOCK and g[HB] != GATE_HALTED:
            n = list(g)
            n[c + b_], n[c + eb_], n[c + esc_], n[c + L_] = LOCKED, WANT, cost(WANT), SENT
            n[BUY_B], n[ESC] = n[BUY_B] - n[c + esc_], n[ESC] + n[c + esc_]
            yield f"B lock {i}", n
        if g[c + L_] in (OK, ERR) and g[c + Ld_] == PENDING:
            n = put(g, c + Ld_, ACKED)
            if g[c + L_] == ERR and b == LOCKED:
                self.release(n, c, REFUNDED)
            elif b == LOCKED:
                kept = cost(g[c + e_])
                back = g[c + esc_] - kept
                n[c + b_], n[c + eb_], n[c + esc_] = CONFIRMED, g[c + e_], kept
                n[BUY_B], n[ESC] = n[BUY_B] + back, n[ESC] - back
            yield f"B ack LOCK {i}", n
        if g[TS] >= T_LOCK and g[c + L_] == SENT and g[c + Ld_] == PENDING:
            n = put(g, c + Ld_, TIMED_OUT)
            if b == LOCKED:
                self.release(n, c, REFUNDED)
            yield f"B timeout LOCK {i}", n

    def equivalence_b(self, g: State, i: int, c: int) -> Iterator[Step]:
        b = g[c + b_]
        if b == CONFIRMED and g[c + Q_] == UNSENT and g[HB] == GATE_PASSED and g[TB] < T_ACT:
            yield f"B send EQUIVALENCE {i}", put(put(g, c + b_, COMMITTED), c + Q_, SENT)
        if g[c + Q_] in (OK, ERR) and g[c + Qd_] == PENDING:
            n = put(g, c + Qd_, ACKED)
            if g[c + Q_] == ERR and b == COMMITTED:
                self.release(n, c, REFUNDED)
            yield f"B ack EQUIVALENCE {i}", n
        if g[c + Q_] == SENT and g[TS] >= T_ACT and g[c + Qd_] == PENDING:
            n = put(g, c + Qd_, TIMED_OUT)
            if b == COMMITTED:
                self.release(n, c, REFUNDED)
            yield f"B timeout EQUIVALENCE {i}", n

    def settlement_b(self, g: State, i: int, c: int) -> Iterator[Step]:
        if g[c + T_] == SENT and g[TB] < T_CLOSE:
            known = g[c + b_] == COMMITTED
            n = put(g, c + T_, OK if known else ERR)
            if known and g[c + s_] == S_SETTLED:
                self.release(n, c, B_SETTLED, g[c + lo_], g[c + hi_])
            elif known:
                self.release(n, c, REFUNDED)
            yield f"B recv SETTLEMENT {i}", n

    # Time, clients

    def ticks(self, g: State, c: int, to: int | None = None) -> Iterator[Step]:
        now = max(g[TS], g[TB])
        for v in range(max(g[c] + 1, now - SKEW), min(now + 1, END) + 1) if to is None else (to,):
            h = HS if c == TS else HB
            asked = g[h] == GATE_UNKNOWN and v >= T_GATE
            for gate in ((1, 2) if self.bounds.halt else (1,)) if asked else (g[h],):
                n = put(put(g, c, v), h, gate)
                if c == TS and gate == GATE_HALTED and asked:
                    for k in self.idx:
                        if n[k + s_] in (RESERVED, ACTIVE):
                            self.cancel_s(n, k, tell=n[k + s_] == ACTIVE)
                (self.sweep_s if c == TS else self.sweep_b)(n)
                yield f"{'SB'[c]} block {v} gate {gate}", n

    def steps(self, g: State) -> Iterator[Step]:
        now = max(g[TS], g[TB])
        if g[TS] >= now - SKEW:
            yield from self.acts_s(g)
        if g[TB] >= now - SKEW:
            yield from self.acts_b(g)
        yield from self.ticks(g, TS)
        yield from self.ticks(g, TB)
        if self.bounds.freeze:
            for f in (FS, FB):
                if g[f] < RECOVERED:
                    yield f"client {'SB'[f - FS]} {g[f] + 1}", put(g, f, g[f] + 1)

    def states(self, limit: int = 8_000_000) -> tuple[int, int, str | None]:
        """Breadth first over everything: states, edges, the first violation."""
        seen: set[State] = set(self.start())
        queue, edges = deque(seen), 0
        while queue:
            g = queue.popleft()
            bad = check(g, self.bounds)
            if bad or len(seen) > limit:
                return len(seen), edges, bad or "limit"
            for _, n in self.steps(g):
                edges += 1
                key = tuple(n)
                if key not in seen:
                    seen.add(key)
                    queue.append(key)
        return len(seen), edges, None


# Invariants


def check(g: State | list[int], bounds: Bounds) -> str | None:
    """What is wrong with a state, whoever reached it: the model or the handlers."""
    idx = [BASE + WIDTH * i for i in range(bounds.contracts)]
    if g[SEL_B] + g[BUY_B] + g[POOL_B] + g[ESC] != BUYER0 or g[ESC] != sum(g[c + esc_] for c in idx):
        return "money on B"
    held = g[OCOL] + sum(g[c + col_] for c in idx)
    if g[SEL_S] + g[BUY_S] + g[POOL_S] + g[COL] != SELLER0 or g[COL] != held:
        return "money on S"
    if min(g[SEL_B : POOL_B + 1]) < 0 or min(g[COL : POOL_S + 1]) < 0 or g[OCOL] < 0:
        return "negative balance"
    if sum(g[c + e_] for c in idx) > bounds.offer or g[OFF] < 0:
        return "offer matched twice"
    found = next((bad for c in idx if (bad := check_contract(g, c))), None)
    return found or (check_end(g, bounds) if g[TS] == g[TB] == END else None)


def check_contract(g: State | list[int], c: int) -> str | None:
    now = max(g[TS], g[TB])
    alive = now < T_DISP + SKEW or g[TS] >= now - SKEW  # S can still make a block that sees the claim
    if alive and g[c + claim_] * DEN > g[c + esc_] * NUM:
        return "claim above locked x rate"
    if g[c + out_] > 1:
        return "released twice"
    if g[c + b_] == REFUNDED and g[c + s_] in (ACTIVE, S_SETTLED):
        return "refunded while the seller is bound"
    if g[c + b_] == COMMITTED and g[HB] == GATE_HALTED:
        return "committed in a halted slot"
    if g[c + s_] == ACTIVE and (g[HS] == GATE_HALTED or g[c + col_] < collateral(g[c + e_])):
        return "active in a halted slot or without collateral"
    return None


def check_end(g: State | list[int], bounds: Bounds) -> str | None:
    for c in [BASE + WIDTH * i for i in range(bounds.contracts)]:
        s, b = g[c + s_], g[c + b_]
        if s in (RESERVED, ACTIVE) or b in (LOCKED, CONFIRMED, COMMITTED):
            return "not terminal"
        if (s == S_SETTLED and b not in (B_SETTLED, LAPSED)) or (b == B_SETTLED and s != S_SETTLED):
            return "terminal states disagree"
        if b == B_SETTLED and (g[c + lo_], g[c + hi_]) != (g[c + blo_], g[c + bhi_]):
            return "amounts disagree"
        if b == LAPSED and g[c + T_] in (OK, ERR):
            return "lapsed although the outcome arrived"
    if bounds.contracts > 1:
        return None
    if g[BASE + s_] == CANCELLED and g[SEL_S] != SELLER0:
        return "penalty without a contract"
    return check_losses(g) if g[BASE + s_] == S_SETTLED else None


def check_losses(g: State | list[int]) -> str | None:
    """Against an honest outcome, in S units: no gain by a lie, no loss beyond what is declared."""
    e, b, d = g[BASE + e_], g[BASE + b_], min(g[TRUE], g[BASE + e_])
    value, due = PRICE * d, penalty(e, d)
    seller = g[SEL_B] * NUM // DEN + g[SEL_S] - SELLER0 - (value - due)
    buyer = (g[BUY_B] - BUYER0) * NUM // DEN + g[BUY_S] + value - due
    near = abs(g[X] - g[M]) <= TOL
    slack = PRICE * TOL + PRICE * TOL // 2 + 2 if near else 2
    told = b == B_SETTLED and g[X] >= 0 and g[M] >= 0
    s_true, b_true = g[X] == g[TRUE], g[OWN] == g[TRUE] and g[M] == g[TRUE]
    seller_bound = slack if told and (g[A] >= 0 or b_true) else PRICE * e + collateral(e)
    unread = b == LAPSED and g[M] < 0 and due == 0
    buyer_bound = slack if unread or (told and (g[A] >= 0 or s_true)) else cost(e) * NUM // DEN + 1 + due
    return next(
        (
            why
            for bad, why in (
                (told and s_true and buyer > slack, "buyer gains by lying"),
                (told and b_true and seller > slack, "seller gains by lying"),
                (s_true and seller < -seller_bound, "honest seller loses more than declared"),
                (g[OWN] == g[TRUE] and buyer < -buyer_bound, "honest buyer loses more than declared"),
                (g[X] < 0 and g[M] < 0 and g[SEL_S] < SELLER0, "penalty without data"),
            )
            if bad
        ),
        None,
    )
