"""Rich authorization requests (RFC 9396): `authorization_details`, checked by their types.

Owns which types a client may use, what a member must be, and that what was granted only ever gets
narrower. Pure: each function takes what was sent and returns a value or refuses.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast

from signoff.approvals.details import TYPE, DetailsError, check_details
from signoff.canonical import Json, JsonError, canonical_bytes, parse
from signoff.oauth.clients import Client
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form
from signoff.oauth.profile import Profile

Details: TypeAlias = tuple[Mapping[str, Json], ...]

_MAX_DETAILS: Final = 10
_MAX_BYTES: Final = 16_384
"""They stand in an access token, which must fit into the header of a request."""
_KEYWORD: Final = re.compile(r"[A-Za-z$]{1,40}")


def requested_details(form: Form, client: Client, profile: Profile) -> Details:
    """Return the `authorization_details`, each checked by the rules of its type (RFC 9396 §5)."""
    members = _details(form.get("authorization_details"))
    if client.role == "gate":
        if len(members) != 1 or members[0].get("type") != TYPE:
            raise _refused("the gate asks for one tool_call at a time")
        try:
            check_details(members[0])
        except DetailsError as error:
            raise _refused("the tool_call does not hold", detail=str(error)) from error
        return members
    if len(canonical_bytes([dict(member) for member in members])) > _MAX_BYTES:
        raise _refused(f"the authorization_details are larger than {_MAX_BYTES} bytes")
    for position, member in enumerate(members, 1):
        name = str(member["type"])
        schema = profile.details_types.get(name)
        # Ours alone: nobody else's card may look like that of a tool call.
        if name == TYPE or (schema is not None and name not in client.details_types):
            raise _refused(f"member {position} has a type that this client may not use")
        if schema is None:
            raise _refused(f"member {position} has a type that this server does not know")
        found = schema.violations(dict(member), limit=1)
        if found:
            # The keyword is the operator's word. The rest of a violation may quote what was sent.
            raise _refused(f"member {position} does not fit its type: {_keyword(found[0].rule)}")
    return members


def _keyword(rule: str) -> str:
    return rule if _KEYWORD.fullmatch(rule) else "schema"


def refuse_details(form: Form) -> None:
    """Refuse `authorization_details` where nobody is asked for them: none comes of itself.

    Raises:
        OAuthError: there are some.
    """
    if form.get("authorization_details") is not None:
        raise _refused("this grant gives no authorization_details: a person must be asked for them")


def narrowed_details(form: Form, granted: Sequence[Mapping[str, Json]]) -> Details:
    """Return which of the granted details a token request is for (RFC 9396 §6): all, or some."""
    # By their canonical form: to Python, true and 1 are equal.
    held = {canonical_bytes(dict(member)): member for member in granted}
    wanted = [canonical_bytes(dict(m)) for m in _details(form.get("authorization_details"))]
    if not held.keys() >= set(wanted):
        raise _refused("authorization_details can only be narrowed to members that were granted")
    return tuple(held[name] for name in dict.fromkeys(wanted)) if wanted else tuple(granted)


def _details(text: str | None) -> Details:
    if text is None:
        return ()
    try:
        value = parse(text)
    except JsonError as error:
        raise _refused("not JSON", detail=str(error)) from error
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_DETAILS:
        raise _refused("an array of 1 to 10 objects is wanted")
    if not all(isinstance(m, dict) and isinstance(m.get("type"), str) for m in value):
        raise _refused("every member is an object with a type")
    return tuple(cast("list[Mapping[str, Json]]", value))


def _refused(description: str, *, detail: str = "") -> OAuthError:
    return OAuthError("invalid_authorization_details", description, detail=detail)
