"""How a client hears of a decision, and what its backchannel requests look like (CIBA Core §4).

Owns these registered settings and the rules for them. A mode is a property of the client, never a
parameter of a request (§5).
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from signoff.tokens.verify import ASSERTION_ALGORITHMS

DeliveryMode: TypeAlias = Literal["poll", "ping", "push"]

MODES: Final[tuple[DeliveryMode, ...]] = ("poll", "ping", "push")
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_URL: Final = 2048
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class DeliveryError(ValueError):
    """The settings cannot be. The message is for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`notification_endpoint` is set for ping and push, and only then.

    With `request_signing_alg` every request is a signed request object. `user_code`: the client
    asks its user for the code that a person may have set.
    """

    mode: DeliveryMode = "poll"
    notification_endpoint: str | None = None
    request_signing_alg: str | None = None
    user_code: bool = False


def check_delivery(delivery: Delivery, *, has_keys: bool) -> None:
    """Refuse settings that could not work.

    Raises:
        DeliveryError: names what is wrong.
    """
    if delivery.mode not in MODES:
        raise DeliveryError(f"the delivery mode is one of {', '.join(MODES)}")
    endpoint = delivery.notification_endpoint
    if (delivery.mode == "poll") != (endpoint is None):
        raise DeliveryError("a notification endpoint belongs to ping and push, and to them only")
    if endpoint is not None:
        parse_endpoint(endpoint)
    algorithm = delivery.request_signing_alg
    if algorithm is not None and (algorithm not in ASSERTION_ALGORITHMS or not has_keys):
        raise DeliveryError(
            f"a request is signed with the client's own key, by {', '.join(ASSERTION_ALGORITHMS)}"
        )


def parse_endpoint(url: str) -> tuple[SplitResult, int]:
    """Return the parts and the port of an address that we may post to.

    Raises:
        DeliveryError: it is not https (or http on loopback), or carries what it must not.
    """
    wrong = DeliveryError("a notification endpoint is an https URL without user and fragment")
    if len(url) > _MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise wrong
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    # CIBA Core §4: an https URL. Plain http reaches this computer and nothing else.
    plain = parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS
    if not (parts.scheme == "https" or plain) or not parts.hostname or "\\" in url:
        raise wrong
    if "@" in parts.netloc or parts.fragment or "#" in url:
        raise wrong
    return parts, port or _DEFAULT_PORTS[parts.scheme]
