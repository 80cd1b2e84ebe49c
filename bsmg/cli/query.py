"""`bsmg query SERVICE METHOD [VALUES]`: any query of any service, by gRPC."""

from __future__ import annotations

import click

from bsmg.cli.messages import SERVICES, field_order, fill, fill_json, find_method, find_service, kebab, new, signature
from bsmg.cli.output import message_doc, show
from bsmg.cli.target import Target, run, with_target
from bsmg.client.chain import ChainClient
from cosmos_wire.protos import Message


@click.command()
@click.argument("service", required=False)
@click.argument("method", required=False)
@click.argument("values", nargs=-1)
@click.option("--json", "request_json", help="The whole request as protobuf JSON.")
@click.option("--height", type=click.IntRange(1), help="As of this block; default the newest.")
@with_target
def command(target: Target, **flags: object) -> None:
    """Ask a chain: `bsmg query bank balance ADDRESS`, `bsmg query market slot 12`.

    VALUES are the request's fields in their order, or name=value. Without METHOD the methods are listed.
    """
    service, method, values = flags["service"], flags["method"], flags["values"]
    assert isinstance(values, tuple), "nargs=-1 gives a tuple"
    if not service:
        click.echo("services: " + ", ".join(SERVICES))
    elif not method:
        list_methods(str(service))
    else:
        request, path, answer = build(target, (str(service), str(method)), values)
        if flags["request_json"]:
            fill_json(request, str(flags["request_json"]))
        height = flags["height"]
        show(message_doc(ask(target, (path, request, answer), height if isinstance(height, int) else None)))


def list_methods(service: str) -> None:
    """Methods of a service with the fields of their requests."""
    for method in find_service(service).methods:
        names = signature([name for name in field_order(method.input_type) if name != "pagination"])
        click.echo(f"{kebab(method.name):<36} {names}")


def build(target: Target, names: tuple[str, str], values: tuple[str, ...]) -> tuple[Message, str, Message]:
    """(request, path, empty answer) of a method."""
    service = find_service(names[0])
    method = find_method(service, names[1])
    request = new(method.input_type)
    order = [name for name in field_order(method.input_type) if name != "pagination"]
    fill(request, [target.address(value) for value in values], order)
    fields = request.DESCRIPTOR.fields_by_name
    if "denom" in fields and fields["denom"].type == fields["denom"].TYPE_STRING and not getattr(request, "denom"):  # noqa: B009
        setattr(request, "denom", target.denom)  # noqa: B010  (a field of a message that is only known here)
    return request, f"/{service.full_name}/{method.name}", new(method.output_type)


def ask(target: Target, call: tuple[str, Message, Message], height: int | None) -> Message:
    """The answer."""
    path, request, answer = call

    async def asked(client: ChainClient) -> Message:
        return await client.query(path, request, type(answer), height)

    return run(target, asked)
