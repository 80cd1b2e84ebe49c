"""ICS-03 versions: which features two ends of a connection agree on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cosmos_wire.protos import connection
from ibc_core.errors import InvalidConnectionVersion, VersionNegotiationFailed

IDENTIFIER = "1"
ORDERINGS = ("ORDER_ORDERED", "ORDER_UNORDERED")
FEATURES_MAX = 100
VERSIONS_MAX = 100

Version = connection.Version


def supported() -> list[Version]:
    """What this implementation offers: version 1 with both orderings, as ibc-go."""
    return [Version(identifier=IDENTIFIER, features=ORDERINGS)]


def require_valid(version: Version) -> None:
    """Refuse a blank identifier, blank features and too many of them."""
    if not version.identifier.strip():
        raise InvalidConnectionVersion("version identifier cannot be blank")
    if len(version.features) > FEATURES_MAX:
        raise InvalidConnectionVersion(f"at most {FEATURES_MAX} features, got {len(version.features)}")
    if any(not feature.strip() for feature in version.features):
        raise InvalidConnectionVersion(f"feature cannot be blank: {list(version.features)}")


def is_supported(offers: Iterable[Version], proposed: Version) -> bool:
    """Whether a proposed version is within one that is offered under the same identifier."""
    offer = _named(offers, proposed.identifier)
    return offer is not None and bool(proposed.features) and all(f in offer.features for f in proposed.features)


def pick(offers: Sequence[Version], theirs: Sequence[Version]) -> Version:
    """First own version that the counterparty knows too, with the features of both in own order."""
    for offer in offers:
        other = _named(theirs, offer.identifier)
        common = [feature for feature in offer.features if other is not None and feature in other.features]
        if common:
            return Version(identifier=offer.identifier, features=common)
    raise VersionNegotiationFailed(f"counterparty offers {text(theirs)}, expected one of {text(offers)}")


def supports_order(version: Version, order: str) -> bool:
    """Whether channels of an ordering (`ORDER_UNORDERED`) may be opened."""
    return order in version.features


def _named(versions: Iterable[Version], identifier: str) -> Version | None:
    return next((version for version in versions if version.identifier == identifier), None)


def text(versions: Iterable[Version]) -> str:
    """For errors: bounded."""
    return str([(version.identifier, list(version.features)) for version in versions])[:200]
