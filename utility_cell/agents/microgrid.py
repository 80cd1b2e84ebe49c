"""One microgrid's agents with their keys and lanes, made from testnet.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any as Json

from bsmg.client.chain import ChainClient
from bsmg.client.lane import FeePolicy, Lane, parse_gas_price
from bsmg.client.testnet_file import AccountInfo, ChainInfo, LinkEnd, TestnetFile
from cosmos_wire.errors import ToolError
from utility_cell.agents.cell import CellAgent, CellIdentity
from utility_cell.agents.levels import GridAgent, LevelsAgent
from utility_cell.agents.lines import Lines
from utility_cell.agents.utility import UtilityAgent
from utility_cell.fleet import CellSpec, Fleet, load_fleet
from utility_cell.flows import TieLines
from utility_cell.forecast import Bounds, Forecaster
from utility_cell.profiles import Profiles
from utility_cell.world import Calendar, forecast_mWh
from utility_cell.world import Forecaster as Forecast

GAS_LIMIT = 60_000_000  # the largest message here, 500 readings, takes less
TRADE_PORT = "trade"
GRID = "grid"  # role of the main grid's chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What is simulated: profiles, the day, and the seed of the cells' moods."""

    profiles: Profiles
    first_quarter: int
    seed: int
    slots: int = 0  # how many are traded; 0: no end
    forecaster: Forecaster | None = None  # in the place of the seasonal naive forecast

    @property
    def forecast(self) -> Forecast:
        """What cells and utility cells forecast by."""
        return self.forecaster or forecast_mWh


@dataclass(frozen=True, slots=True, kw_only=True)
class Microgrid:
    """The agents of one chain, each with the lane of its own key; the main grid's has no cells."""

    chain: ChainClient
    cells: Sequence[tuple[CellAgent, Lane]]
    utility: UtilityAgent
    levels: LevelsAgent | GridAgent
    utility_lane: Lane


def fleet_of(info: ChainInfo) -> Fleet:
    """The cells that genesis registered, in order, with the assets that the fleet gives them."""
    if not info.doc["profile"]:
        return Fleet(name="", cells=())
    own = {cell.name: cell for cell in load_fleet(str(info.doc["profile"])).cells}
    return Fleet(name=str(info.doc["profile"]), cells=tuple(_spec(own, item["name"]) for item in _cell_docs(info)))


def _cell_docs(info: ChainInfo) -> list[Mapping[str, Json]]:
    return [item for item in info.doc["accounts"] if item.get("device_key")]


def _spec(own: Mapping[str, CellSpec], name: str) -> CellSpec:
    """A cell of the fleet; `home-01.2` is the second copy of `home-01`."""
    spec = own.get(name) or own.get(name.rpartition(".")[0])
    if spec is None:
        raise ToolError(f"cell {name!r}: expected one of {', '.join(sorted(own))} or a copy of it")
    return replace(spec, name=name)


def calendar_of(info: ChainInfo, day: Day) -> Calendar:
    """The chain's first slot stands for the day's first quarter hour."""
    return Calendar(first_slot=info.first_slot, first_quarter=day.first_quarter, slots=day.slots)


@dataclass(slots=True, kw_only=True)
class Meters:
    """What the meters of each microgrid drew in a slot, by the cells that this process runs."""

    cells: dict[str, Sequence[CellAgent]] = field(default_factory=dict)
    said: dict[tuple[str, int], int] = field(default_factory=dict)

    def watch(self, grids: Iterable[Microgrid]) -> None:
        """The cells that are metered."""
        for grid in grids:
            self.cells[grid.chain.chain_id] = [agent for agent, _ in grid.cells]

    def net(self, chain_id: str, slot: int) -> int:
        """Energy drawn by all cells, mWh, negative when fed in; the first word about a slot stays, for all lines."""
        place = chain_id, slot
        if place not in self.said:
            self.said[place] = sum(agent.net_mWh(slot) for agent in self.cells[chain_id])
        return self.said[place]


def flows_of(net: TestnetFile, meters: Meters) -> TieLines:
    """The wires between all chains of a testnet, for every agent the same."""
    members = frozenset(info.chain_id for info in net.chains if _cell_docs(info))
    return TieLines(nets=meters.net, members=members)


def neighbours_of(net: TestnetFile, chain_id: str) -> list[tuple[str, str]]:
    """(trade channel of this chain, chain behind it) of every link."""
    found: list[tuple[LinkEnd, LinkEnd]] = []
    for link in net.links:
        found += [(link.a, link.b)] if link.a.chain_id == chain_id else []
        found += [(link.b, link.a)] if link.b.chain_id == chain_id else []
    return [(near.channels[TRADE_PORT].channel_id, far.chain_id) for near, far in found if TRADE_PORT in near.channels]


def make_microgrid(net: TestnetFile, info: ChainInfo, chain: ChainClient, day: Day, flows: TieLines) -> Microgrid:
    """Agents of all cells and of the utility cell, or of the main grid's operator; `flows` is one for all chains."""
    fleet, calendar = fleet_of(info), calendar_of(info, day)
    utility_lane = _lane(info, chain, info.account("utility-cell"))
    lines = lines_of(net, info, utility_lane.address)
    kind = GridAgent if info.doc.get("role") == GRID else LevelsAgent
    cells = zip(fleet.cells, _cell_docs(info), strict=True)
    return Microgrid(
        chain=chain,
        cells=[_cell(info, chain, (spec, doc), (calendar, day)) for spec, doc in cells],
        utility=UtilityAgent(
            address=utility_lane.address,
            fleet=fleet,
            calendar=calendar,
            profiles=day.profiles,
            feeder=str(info.doc.get("feeder", "")),
            expect=day.forecast,
            bounds=Bounds(forecaster=day.forecaster, cells=fleet.cells) if day.forecaster and fleet.cells else None,
        ),
        levels=kind(chain=chain, lines=lines, calendar=calendar, flows=flows),
        utility_lane=utility_lane,
    )


def lines_of(net: TestnetFile, info: ChainInfo, address: str) -> Lines:
    """A chain's trade channels: to microgrids, and to the main grid."""
    grids = {other.chain_id for other in net.chains if other.doc.get("role") == GRID}
    near = neighbours_of(net, info.chain_id)
    return Lines(
        address=address,
        slot_ms=int(info.doc["slot_ms"]),
        gates_ms=info.gates_ms,
        neighbours={channel: chain_id for channel, chain_id in near if chain_id not in grids},
        grid=next((channel for channel, chain_id in near if chain_id in grids), ""),
    )


def _cell(
    info: ChainInfo, chain: ChainClient, who: tuple[CellSpec, Mapping[str, Json]], when: tuple[Calendar, Day]
) -> tuple[CellAgent, Lane]:
    (spec, doc), (calendar, day) = who, when
    lane = _lane(info, chain, info.account(spec.name))
    identity = CellIdentity(
        chain_id=info.chain_id,
        address=lane.address,
        device=str(doc["device"]),
        device_seed=bytes.fromhex(Path(str(doc["device_key"])).read_text(encoding="utf-8").strip()),
    )
    agent = CellAgent(
        spec=spec,
        identity=identity,
        calendar=calendar,
        profiles=day.profiles,
        seed=day.seed,
        forecast=day.forecast,
    )
    return agent, lane


def _lane(info: ChainInfo, chain: ChainClient, account: AccountInfo) -> Lane:
    price, denom = parse_gas_price(str(info.doc.get("min_gas_price", "0")))
    return chain.lane_of(
        account, FeePolicy(price=price, denom=denom or info.denom, fixed_gas=0 if price else GAS_LIMIT)
    )


def dump_settings(day: Day) -> str:
    """One line for the log: what a second run needs to make the same market."""
    return json.dumps({"first_quarter": day.first_quarter, "seed": day.seed, "slots": day.slots})
