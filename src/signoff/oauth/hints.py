"""Who is to be asked: the hints of a backchannel request (CIBA Core §7.1), one kind a function.

Owns what a `login_hint`, an `id_token_hint` and a `login_hint_token` may be, and that there is
exactly one of them. A hint only finds a person; it proves nothing about anybody.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from signoff.canonical import Json, JsonError, parse
from signoff.catalog.model import User
from signoff.oauth.clients import Client
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form
from signoff.oauth.profile import Profile
from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import ExpiredError, verify_hint_token, verify_id_token

HINTS: Final = ("login_hint", "login_hint_token", "id_token_hint")
ID_TOKEN_TOLERANCE: Final = timedelta(hours=24)
"""For how long after its end an ID token of ours still says who is meant."""
_MAX_HINT: Final = 1024


def user_of(
    form: Form,
    client: Client,
    *,
    users: Mapping[str, User],
    profile: Profile,
    keys: KeySet,
    now: datetime,
) -> str | None:
    """Return the id of the user that the one hint names; None when it names nobody.

    Raises:
        OAuthError: there is not exactly one hint, or it does not hold.
    """
    given = [name for name in HINTS if form.get(name) is not None]
    if len(given) != 1:
        raise OAuthError(
            "invalid_request", "exactly one of login_hint, login_hint_token, id_token_hint"
        )
    hint = form.require(given[0])
    match given[0]:
        case "login_hint":
            if len(hint) > _MAX_HINT:
                raise OAuthError("invalid_request", "the login_hint is too long")
            return resolve(hint, users, issuer=profile.issuer)
        case "id_token_hint":
            sub = _of_id_token(hint, client, profile=profile, keys=keys, now=now)
            return sub if sub in users else None
        case "login_hint_token":
            subject = _of_token(hint, client, profile=profile, now=now)
            return _subject(subject, users, issuer=profile.issuer)
        case _ as other:
            raise AssertionError(other)


def resolve(hint: str, users: Mapping[str, User], *, issuer: str) -> str | None:
    """Return the user id a `login_hint` names: an id, an e-mail, or RFC 9493 `iss_sub` JSON."""
    if hint.startswith("{"):
        try:
            subject = parse(hint)
        except JsonError:
            return None
        if not isinstance(subject, dict) or subject.get("format") != "iss_sub":
            return None
        return _subject(subject, users, issuer=issuer)
    if hint in users:
        return hint
    return _by_mail(hint, users) if "@" in hint else None


def _of_id_token(
    hint: str, client: Client, *, profile: Profile, keys: KeySet, now: datetime
) -> str:
    """Return `sub` of an ID token that we issued to this very client (CIBA Core §7.1)."""
    try:
        claims = verify_id_token(
            hint,
            keys=keys,
            issuer=profile.issuer,
            client_id=client.id,
            now=now,
            expired_s=ID_TOKEN_TOLERANCE.total_seconds(),
        )
    except TokenError as error:
        raise OAuthError(
            "invalid_request", "the id_token_hint is not a token for this client", detail=str(error)
        ) from error
    return str(claims["sub"])


def _of_token(hint: str, client: Client, *, profile: Profile, now: datetime) -> Mapping[str, Json]:
    """Return `sub_id` (RFC 9493) of a token that the client signed with its registered key."""
    failed = OAuthError("invalid_request", "the login_hint_token is not valid")
    if client.jwks is None:
        raise failed
    try:
        claims = verify_hint_token(
            hint,
            keys=KeySet.parse(client.jwks),
            client_id=client.id,
            audience=profile.issuer,
            now=now,
        )
    except ExpiredError as error:
        raise OAuthError(
            "expired_login_hint_token", "the login_hint_token has expired", detail=str(error)
        ) from error
    except TokenError as error:
        raise OAuthError("invalid_request", failed.description, detail=str(error)) from error
    subject = claims.get("sub_id")
    # With `sub` it would pass for an assertion of the client.
    if not isinstance(subject, dict) or claims.get("sub") == client.id:
        raise failed
    return subject


def _subject(subject: Mapping[str, Json], users: Mapping[str, User], *, issuer: str) -> str | None:
    """Return the user an RFC 9493 subject identifier names: `iss_sub`, `email` or `opaque`."""
    named = [subject.get(name) for name in _MEMBERS.get(str(subject.get("format")), ())]
    texts = [value for value in named if isinstance(value, str)]
    if not texts or len(texts) != len(named):
        return None
    if subject["format"] == "email":
        return _by_mail(texts[0], users)
    if subject["format"] == "opaque":
        return texts[0] if texts[0] in users else None
    iss, sub = texts
    # Auth0's SDKs write an issuer with a slash at the end.
    if iss.rstrip("/") == issuer.rstrip("/"):
        return sub if sub in users else None
    found = [user.id for user in users.values() if user.subjects.get(iss) == sub]
    return found[0] if len(found) == 1 else None


_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "iss_sub": ("iss", "sub"),
    "email": ("email",),
    "opaque": ("id",),
}


def _by_mail(address: str, users: Mapping[str, User]) -> str | None:
    folded = address.casefold()
    found = [user.id for user in users.values() if user.email and user.email.casefold() == folded]
    return found[0] if len(found) == 1 else None
