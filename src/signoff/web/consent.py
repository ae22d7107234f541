"""A person lets a host act for them, or does not: the page between an application and its code.

Owns what is shown of a host (all of it claims), the form and what it must carry: the session's CSRF
token over this very request, and on plain http the device key's signature. A GET decides nothing
and nobody is ever let in without the page.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, assert_never

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from signoff.approvals.sessions import BadProof, NeedsKey, Proved, check_proof, proof_message
from signoff.catalog.model import User
from signoff.oauth.authorize import (
    MALFORMED,
    MAX_QUERY,
    Asked,
    Authorizations,
    Refused,
    Unanswerable,
    as_query,
)
from signoff.oauth.host_tokens import OFFLINE
from signoff.oauth.hosts import form_source, is_near, place
from signoff.oauth.profile import AUTHORIZE_PATH
from signoff.web.render import CONTENT_SECURITY_POLICY, HEADERS, Renderer
from signoff.web.session import PageError, SignIn, Viewer, one_of, read_form, read_text
from signoff.web.text import Shown, show

Asks: TypeAlias = Literal["consent", "connect-device"]
"""Which page asks, and what its key signs: a yes on one is none on the other."""

DECISION_PATH: Final = f"{AUTHORIZE_PATH}/decision"
OPEN_FOR: Final = timedelta(minutes=10)
_ACR: Final = "session"
_YOUNG: Final = timedelta(days=1)
_MAX_ID: Final = 64
_CANNOT: Final = "This application cannot sign in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One showing of a page that asks: what its form carries and its key signs."""

    verb: Asks
    id: str
    at: str
    digest: str

    def csrf(self, viewer: Viewer) -> str:
        """Return the form token of this session for this very question."""
        return viewer.csrf(self.verb, self.id, self.at, self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One thing the host may do after a yes, in words."""

    words: str
    scope: Shown | None = None


class ConsentPages:
    """GET and POST /oauth2/authorize, and the decision on it."""

    def __init__(
        self,
        *,
        authorizations: Authorizations,
        sign_in: SignIn,
        renderer: Renderer,
        users: Mapping[str, User],
        now: Callable[[], datetime],
    ) -> None:
        self._authorizations, self._sign_in, self._renderer = authorizations, sign_in, renderer
        self._users, self._now = users, now

    async def ask(self, request: Request) -> Response:
        """Show who asks for what. Nothing is read or fetched for somebody who is not signed in."""
        query = request.scope["query_string"].decode("latin-1")
        viewer = await self._sign_in.viewer(request)
        if viewer is None:
            return self._sign_in_first(query)
        reading = await self._authorizations.read(query)
        match reading:
            case Unanswerable():
                raise PageError(400, _CANNOT, reading.reason)
            case Refused():
                return self._refused(reading)
            case Asked():
                return self._question(viewer, reading, query)
            case _:
                assert_never(reading)

    async def posted(self, request: Request) -> Response:
        """Answer a request that was posted (OpenID Connect Core §3.1.2.1) with the GET of the same.

        It comes from the application's own page, so no cookie of ours comes with it, and none is
        read. The browser brings it with the GET that follows, as if the page had linked there.
        """
        if request.scope["query_string"]:
            # Which of the two counts, every reader would decide for itself.
            raise PageError(400, "Refused", "The request stands in the form, not in the address.")
        query = as_query(await read_text(request, most=MAX_QUERY))
        if query is None:
            raise PageError(400, _CANNOT, MALFORMED)
        # Relative: whatever the address is called by now, it stays that.
        return RedirectResponse(f"?{query}", 303, headers=HEADERS)

    async def decide(self, request: Request) -> Response:
        """Take the yes or the no; the request is read again, for the form proves nothing."""
        self._sign_in.check_origin(request)
        viewer = await self._sign_in.require(request)
        fields = await read_form(
            request, required={"csrf", "request", "id", "at", "decision"}, optional={"proof"}
        )
        query = fields["request"]
        reading = await self._authorizations.read(query)
        if not isinstance(reading, Asked):
            raise PageError(409, "This no longer holds", "Start again in the application.")
        question = Question(
            verb="consent", id=fields["id"], at=fields["at"], digest=reading.digest()
        )
        check_question(viewer, question, fields["csrf"], now=self._now())
        if one_of(fields, "decision", "approve", "deny") == "deny":
            return RedirectResponse(self._authorizations.deny(reading), 303, headers=HEADERS)
        check_signed(self._sign_in, viewer, question, fields.get("proof", ""))
        target = await self._authorizations.approve(
            reading, request_id=question.id, user_id=viewer.user_id, acr=_ACR
        )
        if target is None:
            raise PageError(
                409, "This was answered already", "Start again in the application if you need to."
            )
        return RedirectResponse(target, 303, headers=HEADERS)

    def _sign_in_first(self, query: str) -> Response:
        again = f"{AUTHORIZE_PATH}?{query}" if len(query) <= MAX_QUERY else ""
        return self._renderer.page("connect_sign_in.html", status=401, again=again)

    def _refused(self, refused: Refused) -> Response:
        """Tell the host; a stranger's distant address only behind a link that names it."""
        if is_near(refused.redirect_uri) or refused.host.source == "operator":
            # RFC 9700 §4.11: whoever registers must not get a redirector from us.
            return RedirectResponse(refused.url, 303, headers=HEADERS)
        return self._renderer.page(
            "connect_refused.html",
            status=400,
            reason=refused.reason,
            url=refused.url,
            place=show(place(refused.redirect_uri)),
        )

    def _question(self, viewer: Viewer, asked: Asked, query: str) -> Response:
        question = new_question("consent", asked.digest(), now=self._now())
        host = asked.host
        user = self._users.get(viewer.user_id)
        response = self._renderer.page(
            "consent.html",
            viewer=show(user.name if user else viewer.user_id),
            logout_csrf=viewer.csrf("logout"),
            name=show(host.client.name),
            client_id=show(host.client.id),
            source=host.source,
            redirect_uri=show(asked.redirect_uri),
            place=show(place(asked.redirect_uri)),
            near=is_near(asked.redirect_uri),
            age=age(host.known_since, now=self._now()),
            young=self._now() - host.known_since < _YOUNG,
            wishes=wishes(asked.scope),
            action=DECISION_PATH,
            query=query,
            question=question,
            csrf=question.csrf(viewer),
            https=self._sign_in.https,
            key_id=viewer.session.device_key.id if viewer.session.device_key else "",
        )
        # Browsers hold redirects after a form to `form-action` too.
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
            "form-action 'self'", f"form-action 'self' {form_source(asked.redirect_uri)}"
        )
        return response


def new_question(verb: Asks, digest: str, *, now: datetime) -> Question:
    """Return a question about `digest`, with an id of its own."""
    return Question(
        verb=verb,
        id="ask_" + secrets.token_urlsafe(16),
        at=str(int(now.timestamp())),
        digest=digest,
    )


def check_question(viewer: Viewer, question: Question, csrf: str, *, now: datetime) -> None:
    """Refuse a form that was not rendered for this session and request, or long ago.

    Raises:
        PageError: 403 or 409.
    """
    if len(question.id) > _MAX_ID or not (question.at.isascii() and question.at.isdigit()):
        raise PageError(400, "Refused", "The form is not the one this page has.")
    viewer.check_csrf(csrf, question.verb, question.id, question.at, question.digest)
    if int(now.timestamp()) - int(question.at) > OPEN_FOR.total_seconds():
        raise PageError(409, "This page is too old", "Start again in the application.")


def check_signed(sign_in: SignIn, viewer: Viewer, question: Question, proof: str) -> None:
    """Refuse a yes that does not come from this session's own browser.

    Raises:
        PageError: 403.
    """
    message = proof_message(
        question.verb, approval_id=question.id, digest=question.digest, nonce=question.at
    )
    proved = check_proof(viewer.session, proof, message, https=sign_in.https)
    match proved:
        case Proved():
            return
        case NeedsKey():
            raise PageError(
                403,
                "This sign-in may not say yes",
                "It has no device key. Run “signoff login” again and open the new link with "
                "JavaScript on, or serve signoff over https.",
            )
        case BadProof():
            raise PageError(
                403,
                "Refused: this browser did not prove itself",
                "Over plain http, a yes needs a signature by the key made at sign-in. Turn on "
                "JavaScript for this page, or run “signoff login” and open the new link here.",
            )
        case _:
            assert_never(proved)


def wishes(scope: str, *, tools: bool = True) -> list[Wish]:
    """Return what a scope lets a host do, in words; a scope of the operator's as it is named.

    `tools`: scopes of the operator's open tools here, and nothing elsewhere.
    """
    found: list[Wish] = []
    for one in scope.split():
        if one == "mcp":
            found.append(
                Wish(words="list and call tools for you; risky calls still ask you each time")
            )
        elif one == "openid":
            found.append(Wish(words="learn your user id here"))
        elif one == OFFLINE:
            # Of a host the page says in its first line that a yes lasts until it is taken back.
            found += [] if tools else [Wish(words="keep this access until you take it back")]
        else:
            words = "call tools that need" if tools else "have the scope"
            found.append(Wish(words=words, scope=show(one)))
    return found


def age(since: datetime, *, now: datetime) -> str:
    """Return for how long a host has been known, in words."""
    minutes = max(0, int((now - since).total_seconds())) // 60
    for count, unit in ((minutes // 1440, "day"), (minutes // 60, "hour"), (minutes, "minute")):
        if count:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "less than a minute ago"
