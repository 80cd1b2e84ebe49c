"""`bsmg verify-proof FILE`: check a proof of state offline; `--fetch KEY --out FILE` writes one to try it with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any as Json

import click

from bsmg.audit.headers import signed_power
from bsmg.audit.proof_file import Claim, key_bytes, read_claim
from bsmg.cli import attested_proof
from bsmg.cli.output import FAILURE, note
from bsmg.cli.target import Target, run, with_target
from bsmg.client.chain import ChainClient
from bsmg.client.comet import CometClient
from bsmg.client.errors import QueryRefused
from bsmg.client.fabric import FabricClient
from cosmos_wire import canonical
from cosmos_wire.errors import ChainError, ToolError
from ibc_core.ics23 import IAVL_SPEC, TENDERMINT_SPEC, verify_membership, verify_non_membership

SPECS = (IAVL_SPEC, TENDERMINT_SPEC)
SHOWN_BYTES = 64
PAGE, PAGES_MAX = 100, 200


@click.command("verify-proof")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--fetch", "key", default="", help="Ask a node for this key (text, or 0x and hexadecimal) and its proof.")
@click.option("--store", type=click.Choice(["ibc", "app"]), default="ibc", show_default=True, help="Store of the key.")
@click.option("--height", type=click.IntRange(0), default=0, help="State after this block; default the newest proven.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File that --fetch writes.")
@with_target
def command(  # noqa: PLR0913  (one parameter a flag)
    target: Target, *, file: Path | None, key: str, store: str, height: int, out: Path | None
) -> None:
    """Say whether a proof is valid, and why not: exit code 0 or 1.

    FILE is JSON: root (or app_hash, header, signed_header with validators), store, key, value (hexadecimal; null for
    absence), proof (MerkleProof as hexadecimal or base64, or the operations of abci_query). Of a Fabric microgrid:
    chain_id, channel, chaincode, height, key, value, endorsed (the attestation), membership. No node is asked.
    """
    if key:
        if out is None:
            raise ToolError("--fetch: expected --out FILE to write to, got none")
        doc = run(target, lambda client: fetch(client, key, store, height))
        out.write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")
        root = "attested there" if attested_proof.FIELD in doc else f"root in header {doc['height'] + 1}"
        click.echo(f"wrote {out}: state after block {doc['height']}, {root}")
        return
    if file is None:
        raise ToolError("expected a FILE to verify, or --fetch KEY --out FILE, got neither")
    check(file)


def check(file: Path) -> None:
    """Print the verdict; a proof that does not hold ends the command with 1."""
    try:
        doc = json.loads(file.read_text(encoding="utf-8"))
        json.dumps(doc, ensure_ascii=False).encode()  # escapes may write half a character, which no key or store is
    except OSError as error:
        raise ToolError(f"{file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ToolError(f"{file}: expected JSON, got something else: {error}") from error
    if isinstance(doc, dict) and attested_proof.FIELD in doc:
        attested = attested_proof.read_claim(doc)
        show(f"ibc/{_shown(attested.key)}", lambda: attested_proof.verdict(attested))
    else:
        claim = read_claim(doc)
        show(f"{claim.store}/{_shown(claim.key)}", lambda: verdict(claim))


def show(what: str, judge: Callable[[], Iterable[str]]) -> None:
    """Print what the judge says; a refusal ends the command with 1."""
    try:
        for line in judge():
            click.echo(line)
    except ChainError as error:
        click.echo(f"INVALID: {what}: {error.codespace}/{error.code}: {error}")
        raise click.exceptions.Exit(FAILURE) from error
    except ToolError as error:
        click.echo(f"INVALID: {what}: {error}")
        raise click.exceptions.Exit(FAILURE) from error


def verdict(claim: Claim) -> list[str]:
    """Lines of a proof that holds; raises ChainError, ToolError for one that does not."""
    require_valid(claim)
    held = "is absent" if claim.value is None else f"holds {len(claim.value)} bytes, {_shown(claim.value)},"
    what = f"{claim.store}/{_shown(claim.key)}"
    return [f"VALID: {what} {held} under root {claim.root.hex()}", _standing(claim)]


def require_valid(claim: Claim) -> None:
    """The proof leads from the claim to the root; raises ChainError of code space ics23, ToolError for signatures."""
    path = (claim.store.encode(), claim.key)
    if claim.value is None:
        verify_non_membership(SPECS, claim.root, path, claim.proof)
    else:
        verify_membership(SPECS, claim.root, path, claim.proof, claim.value)
    if claim.signed is not None and claim.validators is not None:
        _require_signed(claim)


def _require_signed(claim: Claim) -> None:
    assert claim.signed is not None
    assert claim.validators is not None
    header, commit = claim.signed.header, claim.signed.commit
    named, members = canonical.header_hash(header), claim.validators.validators
    if commit.block_id.hash != named or commit.height != header.height:
        raise ToolError(f"commit: expected it for header {named.hex()}, got one for {commit.block_id.hash.hex()}")
    found = canonical.validator_set_hash(members)
    if found != header.validators_hash:
        raise ToolError(f"validators: expected hash {header.validators_hash.hex()}, got {found.hex()}")
    power, total = signed_power(header.chain_id, commit, claim.validators), sum(m.voting_power for m in members)
    if power * 3 <= total * 2:
        raise ToolError(f"commit: expected signatures of more than 2/3 of {total}, got {power}")


def _standing(claim: Claim) -> str:
    """What the root itself rests on."""
    if claim.signed is None:
        return f"the root is the file's own {claim.root_from}: compare it with a header that you trust"
    header = claim.signed.header
    place = f"header {header.height} of {header.chain_id}, state after block {header.height - 1}"
    if claim.validators is None:
        return f"{place}; the file names no validators, so its signatures were not checked"
    return (
        f"{place}; signed by more than 2/3 of validators {header.validators_hash.hex()}: compare with those you trust"
    )


def _shown(data: bytes) -> str:
    if data.isascii() and data.decode("ascii").isprintable():
        return data.decode()[:SHOWN_BYTES]
    return f"0x{data.hex()[: 2 * SHOWN_BYTES]}" + ("..." if len(data) > SHOWN_BYTES else "")


async def fetch(client: ChainClient, key: str, store: str, height: int) -> dict[str, Json]:
    """A proof file's content from a node: value and proof, with what the proof leads to."""
    if isinstance(client, FabricClient):
        if store != "ibc" or height:
            raise ToolError(f"{client.chain_id} attests the store ibc at the last tick; got --store or --height")
        return await attested_proof.fetch(client, key_bytes(key))
    if not isinstance(client, CometClient):
        raise ToolError("--fetch: expected a chain of the testnet, or --rpc, got gRPC alone")
    return await _fetch_comet(client, key, store, height)


async def _fetch_comet(client: CometClient, key: str, store: str, height: int) -> dict[str, Json]:
    newest = (await client.rpc.status()).height
    chosen = height or newest - 1
    if chosen >= newest:
        raise ToolError(f"--height: expected at most {newest - 1}, the header after it has to exist, got {chosen}")
    path = f"store/{store}/key"
    answer = await client.rpc.abci_query(path, key_bytes(key), chosen, prove=True)
    if answer.code:
        raise QueryRefused(path, client.rpc.url, answer.code, answer.log or "no log")
    raw = await client.rpc.call("abci_query", path=path, data=key_bytes(key).hex(), height=str(chosen), prove=True)
    signed = (await client.rpc.call("commit", height=str(chosen + 1)))["signed_header"]
    if not answer.value:
        note(f"{store}/{key} is absent after block {chosen}; the file claims just that")
    return {
        "chain_id": client.chain_id,
        "height": chosen,
        "store": store,
        "key": "0x" + key_bytes(key).hex(),
        "value": answer.value.hex() or None,
        "proof": raw["response"]["proofOps"],
        "signed_header": signed,
        "validators": await _members(client.rpc.call, chosen + 1),
    }


async def _members(call: Callable[..., Json], height: int) -> list[Json]:
    found: list[Json] = []
    for page in range(1, PAGES_MAX + 1):
        doc = await call("validators", height=str(height), page=str(page), per_page=str(PAGE))
        found += doc["validators"]
        if len(found) >= int(doc["total"]):
            break
    return found
