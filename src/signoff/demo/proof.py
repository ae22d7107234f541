"""What the sample bank wants proved before a verified transfer: that a person approved this one.

Owns the comparison of approved details with an order, and the words for a token that fails. The
token itself is checked by `signoff.resource`, as any upstream may.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, cast
from urllib.parse import urlsplit

from signoff.canonical import Json, sha256_hex
from signoff.demo.ledger import Order
from signoff.resource import DetailsCheck, ResourceError

GATE: Final = "signoff-gate"
"""The client whose tokens count, unless the bank is told of another."""
SCOPE: Final = "openid"

_WORDS: Final[Mapping[str, str]] = {
    "missing_token": "this endpoint needs the token of an approval",
    "invalid_token": "the approval's token does not hold here",
    "invalid_dpop_proof": "the approval's token is bound to another key",
    "insufficient_scope": "the approval's token is for something else",
    "insufficient_authorization_details": "the approval names another transfer",
    "temporarily_unavailable": "the approval cannot be checked now",
}


def names(order: Order, body: bytes, *, path: str) -> DetailsCheck:
    """Return the check that approved details name this order, to the byte.

    A member that is missing is a no: `signoff.resource` turns the `KeyError` into a refusal.
    """

    def check(details: Mapping[str, Json]) -> bool:
        approved = cast("Mapping[str, Json]", details["arguments"])
        request = cast("Mapping[str, Json]", details["request"])
        return (
            details["type"] == "tool_call"
            and request["method"] == "POST"
            and urlsplit(str(request["url"])).path.endswith(path)
            and request["body_sha256"] == sha256_hex(body)
            # The bytes say it all already; these members are what the person was shown.
            and _amount(approved["amount"]) == order.amount
            and approved["currency"] == order.currency
            and approved["from_account"] == order.from_account
            and approved["to_account"] == order.to_account
        )

    return check


def words(error: ResourceError) -> str:
    """Return what the bank tells a client whose token fails; never the token's contents."""
    return _WORDS[error.code]


def _amount(value: Json) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Decimal(repr(value))
