"""Who is looking, and whether a form may act: cookie, CSRF, origin, form, device-key proof.

Owns every check between a request and a decision. Knows no card and no template; refusals are a
`PageError`, which `site.py` turns into a page in one place.
"""

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from signoff.approvals.request import Approval
from signoff.approvals.sessions import (
    BadProof,
    NeedsKey,
    Proved,
    Session,
    SessionStore,
    SignedIn,
    Verb,
    check_proof,
    proof_message,
)

MAX_FORM_BYTES: Final = 16_384
_BODY_DEADLINE_S: Final = 15.0
_FORM: Final = "application/x-www-form-urlencoded"
_MAX_TOKEN: Final = 100
_HTTPS_PORT, _HTTP_PORT = 443, 80


class PageError(Exception):
    """A request that is refused with a page: a heading, a sentence, and what to do."""

    def __init__(self, status: int, heading: str, text: str, *, back: str | None = None) -> None:
        super().__init__(heading)
        self.status, self.heading, self.text, self.back = status, heading, text, back

    @classmethod
    def not_found(cls) -> "PageError":
        """Return the one answer to an unknown id and to somebody else's."""
        return cls(
            404,
            "There is nothing here for you",
            "The address is wrong, or what it names is not yours to decide.",
            back="/approvals",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """A signed-in person's session, and the cookie value that CSRF tokens hang on."""

    session: Session
    token: str = field(repr=False)

    @property
    def user_id(self) -> str:
        """Return who is looking."""
        return self.session.user_id

    def csrf(self, *act: str) -> str:
        """Return the form token of this session for one act (approval id and digest)."""
        message = "\n".join(("signoff csrf", *act)).encode()
        return hmac.digest(self.token.encode(), message, "sha256").hex()

    def check_csrf(self, sent: str, *act: str) -> None:
        """Refuse a form that was not rendered for this session and this act.

        Raises:
            PageError: 403.
        """
        if not hmac.compare_digest(sent.encode(), self.csrf(*act).encode()):
            raise PageError(
                403,
                "This form is out of date",
                "It was made for another sign-in or another request. Open the page again.",
                back="/approvals",
            )


class SignIn:
    """Finds the viewer of a request and guards what a form may do."""

    def __init__(self, sessions: SessionStore, *, public_url: str) -> None:
        self._sessions = sessions
        parts = urlsplit(public_url)
        self.https = parts.scheme == "https"
        self.origin = f"{parts.scheme}://{parts.netloc}".lower()
        port = parts.port or (_HTTPS_PORT if self.https else _HTTP_PORT)
        # Cookies are shared by all ports of a host: the port in the name keeps two signoffs apart.
        self.cookie = "__Host-signoff" if self.https else f"signoff-{port}"

    async def viewer(self, request: Request) -> Viewer | None:
        """Return who is signed in, or None."""
        token = request.cookies.get(self.cookie, "")
        if not token or len(token) > _MAX_TOKEN or not token.isascii():
            return None
        session = await self._sessions.find(token)
        return None if session is None else Viewer(session=session, token=token)

    async def require(self, request: Request) -> Viewer:
        """Return who is signed in.

        Raises:
            PageError: 401, the same for every address.
        """
        if (viewer := await self.viewer(request)) is None:
            raise PageError(
                401,
                "Please sign in",
                "You are not signed in on this browser, or your sign-in has ended.",
            )
        return viewer

    def check_origin(self, request: Request) -> None:
        """Refuse a form that a page of another origin sent, `null` included.

        Raises:
            PageError: 403.
        """
        origins = request.headers.getlist("origin")
        site = request.headers.get("sec-fetch-site")
        same = [origin.lower() for origin in origins] == [self.origin]
        if (site is not None and site != "same-origin") or (origins and not same):
            raise PageError(403, "Refused", f"This form works only at {self.origin}.")
        if not origins and site is None:
            raise PageError(403, "Refused", "The browser did not say where this form came from.")

    def check_proof(self, viewer: Viewer, approval: Approval, proof: str, *, verb: Verb) -> None:
        """Refuse an act that needs this session's own browser and does not come from it.

        Raises:
            PageError: 403.
        """
        message = proof_message(
            verb, approval_id=approval.id, digest=approval.digest, nonce=approval.nonce
        )
        proved = check_proof(viewer.session, proof, message, https=self.https)
        match proved:
            case Proved():
                return
            case NeedsKey():
                raise PageError(
                    403,
                    "This sign-in may read and deny, but not approve",
                    "It has no device key. Run “signoff login” again and open the new link with "
                    "JavaScript on, or serve signoff over https.",
                    back=f"/approvals/{approval.id}",
                )
            case BadProof():
                raise PageError(
                    403,
                    "Not approved: this browser did not prove itself",
                    "Over plain http, approving needs a signature by the key made at sign-in. "
                    "Nothing was sent. Turn on JavaScript for this page, or run “signoff login” "
                    "and open the new link in this browser.",
                    back=f"/approvals/{approval.id}",
                )
            case _:
                assert_never(proved)

    def set_cookie(self, response: Response, signed_in: SignedIn) -> None:
        """Sign this browser in, for as long as the server may know it."""
        response.set_cookie(
            self.cookie,
            signed_in.token,
            max_age=int(signed_in.lifetime.total_seconds()),
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.https,
        )

    def drop_cookie(self, response: Response) -> None:
        """Sign this browser out."""
        response.delete_cookie(
            self.cookie, path="/", httponly=True, samesite="lax", secure=self.https
        )


async def read_text(request: Request, *, most: int) -> str:
    """Return a form as it was written, of at most so many bytes.

    Raises:
        PageError: 400, 408, 413 or 415.
    """
    types = request.headers.getlist("content-type")
    # Of two types, readers would choose differently: that is none.
    if len(types) != 1 or types[0].split(";", 1)[0].strip().lower() != _FORM:
        raise PageError(415, "Refused", "This address takes a form.")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_DEADLINE_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise PageError(413, "That is too long", "The form holds more than it may.")
    except TimeoutError:
        raise PageError(408, "That took too long", "The form did not arrive.") from None
    try:
        return body.decode("ascii")
    except UnicodeDecodeError:
        raise _malformed() from None


async def read_form(request: Request, *, required: set[str], optional: set[str]) -> dict[str, str]:
    """Return the form's fields, each exactly once and none that we do not know.

    Raises:
        PageError: 400, 408, 413 or 415.
    """
    text = await read_text(request, most=MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise _malformed() from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise PageError(400, "Refused", "A field of the form came twice.")
    if not required <= fields.keys() <= required | optional:
        raise PageError(400, "Refused", "The form's fields are not the ones this page has.")
    return fields


def _malformed() -> PageError:
    return PageError(400, "Refused", "The form is not well formed.")


def one_of(fields: Mapping[str, str], name: str, *allowed: str) -> str:
    """Return the field, which must be one of `allowed`.

    Raises:
        PageError: 400.
    """
    if fields[name] not in allowed:
        raise PageError(400, "Refused", f"The form's “{name}” is not one this page has.")
    return fields[name]
