"""What the application says of itself: cosmos.base.reflection (v1beta1, v2alpha1), cosmos.reflection, cosmos.autocli.

Command lines and explorers build themselves from these answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor

from cosmos_wire.address import PREFIX
from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import (
    Message,
    app_reflection,
    auth,
    autocli_query,
    base_reflection,
    ed25519_keys,
    fabric_client,
    feegrant,
    file_reflection,
    multisig_keys,
    secp256k1_keys,
    secp256r1_keys,
    signing,
    tendermint_client,
    tx,
)
from ibc_core.host import Context, MessageRoute, QueryRoute

MESSAGES = "cosmos.base.v1beta1.Msg"  # the interface that every message of a transaction has
_TM, _FABRIC = tendermint_client, fabric_client
INTERFACES: Mapping[str, tuple[type[Message], ...]] = {
    "cosmos.auth.v1beta1.AccountI": (auth.BaseAccount, auth.ModuleAccount),
    "cosmos.auth.v1beta1.ModuleAccountI": (auth.ModuleAccount,),
    "cosmos.crypto.PubKey": (
        ed25519_keys.PubKey,
        multisig_keys.LegacyAminoPubKey,
        secp256k1_keys.PubKey,
        secp256r1_keys.PubKey,
    ),
    "cosmos.feegrant.v1beta1.FeeAllowanceI": (
        feegrant.AllowedMsgAllowance,
        feegrant.BasicAllowance,
        feegrant.PeriodicAllowance,
    ),
    "cosmos.tx.v1beta1.Tx": (tx.Tx,),
    "ibc.core.client.v1.ClientState": (_TM.ClientState, _FABRIC.ClientState),
    "ibc.core.client.v1.ConsensusState": (_TM.ConsensusState, _FABRIC.ConsensusState),
    "ibc.core.client.v1.Header": (_TM.Header, _TM.Misbehaviour, _FABRIC.Header, _FABRIC.Misbehaviour),
}
SIGN_MODES = (signing.SIGN_MODE_DIRECT, signing.SIGN_MODE_LEGACY_AMINO_JSON, signing.SIGN_MODE_DIRECT_AUX)
V1BETA1 = "/cosmos.base.reflection.v1beta1.ReflectionService/"
V2ALPHA1 = "/cosmos.base.reflection.v2alpha1.ReflectionService/"


class ReflectionServices:
    """Query methods over the tables of an application."""

    def __init__(
        self,
        messages: Mapping[str, MessageRoute],
        modules: Mapping[str, Iterable[str]],
        methods: Callable[[], tuple[str, ...]],
    ) -> None:
        """`modules`: the methods and message URLs of each module by its name; `methods`: all that are served."""
        self._messages, self._modules, self._methods = messages, modules, methods

    def routes(self) -> Mapping[str, QueryRoute]:
        """By method path."""
        v1, v2 = base_reflection, app_reflection
        files, options = file_reflection, autocli_query
        return {
            V1BETA1 + "ListAllInterfaces": QueryRoute(
                self.interfaces, v1.ListAllInterfacesRequest, v1.ListAllInterfacesResponse
            ),
            V1BETA1 + "ListImplementations": QueryRoute(
                self.implementations, v1.ListImplementationsRequest, v1.ListImplementationsResponse
            ),
            **{
                f"{V2ALPHA1}Get{part}Descriptor": QueryRoute(
                    handle, getattr(v2, f"Get{part}DescriptorRequest"), getattr(v2, f"Get{part}DescriptorResponse")
                )
                for part, handle in self._descriptors().items()
            },
            "/cosmos.reflection.v1.ReflectionService/FileDescriptors": QueryRoute(
                self.files, files.FileDescriptorsRequest, files.FileDescriptorsResponse
            ),
            "/cosmos.autocli.v1.Query/AppOptions": QueryRoute(
                self.options, options.AppOptionsRequest, options.AppOptionsResponse
            ),
        }

    def _descriptors(self) -> dict[str, Callable[..., object]]:
        return {
            "Authn": self.authn,
            "Chain": self.chain,
            "Codec": self.codec,
            "Configuration": self.configuration,
            "QueryServices": self.query_services,
            "Tx": self.transactions,
        }

    @cached_property
    def _interfaces(self) -> dict[str, list[str]]:
        made = {name: [kind.DESCRIPTOR.full_name for kind in kinds] for name, kinds in INTERFACES.items()}
        made[MESSAGES] = [url.removeprefix("/") for url in self._messages]
        return {name: sorted(made[name]) for name in sorted(made)}

    def interfaces(self, _ctx: Context, _request: Message) -> base_reflection.ListAllInterfacesResponse:
        """Names of what an Any can stand for."""
        return base_reflection.ListAllInterfacesResponse(interface_names=self._interfaces)

    def implementations(
        self, _ctx: Context, request: base_reflection.ListImplementationsRequest
    ) -> base_reflection.ListImplementationsResponse:
        """Type URLs of one of them; none of an unknown one."""
        if not request.interface_name:
            raise InvalidRequest("invalid interface name: expected one, got an empty text")
        found = self._interfaces.get(request.interface_name, [])
        return base_reflection.ListImplementationsResponse(implementation_message_names=[f"/{name}" for name in found])

    def authn(self, _ctx: Context, _request: Message) -> app_reflection.GetAuthnDescriptorResponse:
        """How transactions may be signed."""
        made = app_reflection.GetAuthnDescriptorResponse()
        for mode in SIGN_MODES:
            made.authn.sign_modes.add(name=signing.SignMode.Name(mode), number=mode)
        return made

    def chain(self, ctx: Context, _request: Message) -> app_reflection.GetChainDescriptorResponse:
        """The chain's id."""
        return app_reflection.GetChainDescriptorResponse(chain=app_reflection.ChainDescriptor(id=ctx.env.chain_id))

    def codec(self, _ctx: Context, _request: Message) -> app_reflection.GetCodecDescriptorResponse:
        """Interfaces and what implements them."""
        made = app_reflection.GetCodecDescriptorResponse()
        for name, found in self._interfaces.items():
            shown = made.codec.interfaces.add(fullname=name)
            for implementation in found:
                shown.interface_implementers.add(fullname=implementation, type_url=f"/{implementation}")
        return made

    def configuration(self, _ctx: Context, _request: Message) -> app_reflection.GetConfigurationDescriptorResponse:
        """The prefix of addresses."""
        made = app_reflection.GetConfigurationDescriptorResponse()
        made.config.bech32_account_address_prefix = PREFIX
        return made

    def query_services(self, _ctx: Context, _request: Message) -> app_reflection.GetQueryServicesDescriptorResponse:
        """Every served method by its service."""
        made = app_reflection.GetQueryServicesDescriptorResponse()
        services: dict[str, list[str]] = {}
        for path in sorted(self._methods()):
            service, _, name = path.removeprefix("/").rpartition("/")
            services.setdefault(service, []).append(name)
        for service, names in services.items():
            shown = made.queries.query_services.add(fullname=service, is_module=service.endswith(".Query"))
            for name in names:
                shown.methods.add(name=name, full_query_path=f"/{service}/{name}")
        return made

    def transactions(self, _ctx: Context, _request: Message) -> app_reflection.GetTxDescriptorResponse:
        """The transaction's type and the messages that it can carry."""
        made = app_reflection.GetTxDescriptorResponse()
        made.tx.fullname = tx.Tx.DESCRIPTOR.full_name
        for url in sorted(self._messages):
            made.tx.msgs.add(msg_type_url=url)
        return made

    @cached_property
    def _files(self) -> file_reflection.FileDescriptorsResponse:
        made = file_reflection.FileDescriptorsResponse()
        for file in _closure(self._roots()):
            file.CopyToProto(made.files.add())  # type: ignore[no-untyped-call]  # untyped in its stubs
        return made

    def files(self, _ctx: Context, _request: Message) -> file_reflection.FileDescriptorsResponse:
        """Descriptors of every file that a client needs, each behind those that it imports."""
        return self._files

    def _roots(self) -> list[FileDescriptor]:
        pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # untyped in its stubs
        services = sorted({path.strip("/").rpartition("/")[0] for path in self._methods()})
        kinds = sorted({name for found in self._interfaces.values() for name in found})
        return [
            *(pool.FindServiceByName(name).file for name in services),
            *(pool.FindMessageTypeByName(name).file for name in kinds),
        ]

    def options(self, _ctx: Context, _request: Message) -> autocli_query.AppOptionsResponse:
        """Query and message service of each module, from which a command line builds its commands."""
        made = autocli_query.AppOptionsResponse()
        for name in sorted(self._modules):
            query, message = _services(self._modules[name])
            if query:
                made.module_options[name].query.service = query
            if message:
                made.module_options[name].tx.service = message
        return made


def _services(paths: Iterable[str]) -> tuple[str, str]:
    """(query service, message service) of a module's method paths and message URLs; empty for none."""
    query = message = ""
    for path in sorted(paths):
        service, slash, _ = path.removeprefix("/").rpartition("/")
        if slash:
            query = query or service
        else:
            message = message or _message_service(path)
    return query, message


def _message_service(url: str) -> str:
    pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # untyped in its stubs
    name = url.removeprefix("/").rpartition(".")[0] + ".Msg"
    try:
        pool.FindServiceByName(name)
    except KeyError:  # a client that is told of a service that no file has gives up
        return ""
    return name


def _closure(roots: Iterable[FileDescriptor]) -> list[FileDescriptor]:
    found: dict[str, FileDescriptor] = {}

    def visit(file: FileDescriptor) -> None:
        if file.name not in found:
            for needed in file.dependencies:
                visit(needed)
            found[file.name] = file

    for root in roots:
        visit(root)
    return list(found.values())
