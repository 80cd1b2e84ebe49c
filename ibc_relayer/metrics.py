"""What the relayer counts, as Prometheus serves it. One registry a process; tests make their own."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from cosmos_wire.errors import ToolError
from ibc_relayer.events import Acked, Fact, Finished, Received, Sent
from ibc_relayer.plan import End

LATENCY_BUCKETS_S = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 60, 120, 300, 600, 1800)
OPEN_SENDS_MAX = 100_000  # sends whose acknowledgement is waited for; beyond, latency is not measured


class Metrics:
    """Counters by (source chain, channel); gauges by chain."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.registry = CollectorRegistry()
        self.clock = clock
        by_channel = ("chain", "port", "channel")
        own = self.registry
        self.seen = Counter("relayer_packets_seen", "send_packet events", by_channel, registry=own)
        self.received = Counter("relayer_packets_received", "recv_packet events", by_channel, registry=own)
        self.answered = Counter("relayer_acks_written", "write_acknowledgement events", by_channel, registry=own)
        self.acked = Counter("relayer_packets_acked", "acknowledge_packet events", by_channel, registry=own)
        self.timed_out = Counter("relayer_packets_timed_out", "timeout_packet events", by_channel, registry=own)
        self.latency = Histogram(
            "relayer_send_to_ack_seconds", "From send_packet to acknowledge_packet as seen", by_channel,
            buckets=LATENCY_BUCKETS_S, registry=own
        )  # fmt: skip
        self.txs = Counter("relayer_txs", "Transactions by result", ("chain", "codespace", "code"), registry=own)
        self.messages = Counter(
            "relayer_messages", "Messages in successful transactions", ("chain", "action"), registry=own
        )
        self.client_age = Gauge(
            "relayer_client_age_seconds", "Host time minus newest header", ("chain", "client"), registry=own
        )
        self.queue = Gauge("relayer_lane_queue", "Transactions that wait in the lane", ("chain",), registry=own)
        self.balance = Gauge("relayer_wallet_balance", "Base units for fees", ("chain",), registry=own)
        self.pending = Gauge("relayer_packets_pending", "Committed and not finished", by_channel, registry=own)
        self.height = Gauge("relayer_height", "Newest block whose events were read", ("chain",), registry=own)
        self.misbehaviour = Counter(
            "relayer_misbehaviour", "Conflicting headers found", ("chain", "client"), registry=own
        )
        self.errors = Counter("relayer_errors", "Turns that ended with an error", ("path",), registry=own)
        self._open: dict[tuple[str, End, int], float] = {}

    def fact(self, chain_id: str, fact: Fact) -> None:
        """Count what an event of a chain says."""
        if isinstance(fact, Sent):
            end = fact.packet.source
            self.seen.labels(chain_id, end.port, end.channel).inc()
            if len(self._open) < OPEN_SENDS_MAX:
                self._open[chain_id, end, fact.packet.sequence] = self.clock()
        elif isinstance(fact, Received | Acked):
            end = fact.packet.destination
            counter = self.received if isinstance(fact, Received) else self.answered
            counter.labels(chain_id, end.port, end.channel).inc()
        elif isinstance(fact, Finished):
            self._finished(chain_id, fact)

    def _finished(self, chain_id: str, fact: Finished) -> None:
        labels = (chain_id, fact.source.port, fact.source.channel)
        (self.timed_out if fact.timed_out else self.acked).labels(*labels).inc()
        since = self._open.pop((chain_id, fact.source, fact.sequence), None)
        if since is not None and not fact.timed_out:
            self.latency.labels(*labels).observe(self.clock() - since)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


async def serve(metrics: Metrics, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Serve `/metrics`; port 0 takes a free one. Returns the runner, to clean up, and the port."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ToolError(f"metrics: expected to listen on {host}:{port}, got {error.strerror}") from error
    return runner, int(runner.addresses[0][1])
