"""The first look at an authorization server elsewhere: nothing of a call goes to a wrong one."""

from collections.abc import Mapping
from datetime import UTC, datetime

import httpx2
import pytest
from pydantic import SecretStr

from signoff.canonical import Json
from signoff.gate.credentials import SharedSecret
from signoff.gate.introspection import Introspection, UnknownStandingError
from signoff.gate.link import Link, metadata_fault
from signoff.gate.wire import Lent, Refused, Unavailable, Wire
from signoff.oauth.metadata import metadata
from signoff.oauth.profile import Profile
from signoff.tokens.remote import RemoteKeys

ISSUER = "https://sidecar.example"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOCUMENT = metadata(Profile(issuer=ISSUER))
UNKNOWN_ID = (400, {"error": "invalid_grant"})


class Sidecar(httpx2.AsyncBaseTransport):
    """Answers each path as it is told, and remembers which were asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Mapping[str, Json]]] = {
            "/.well-known/openid-configuration": (200, DOCUMENT),
            "/oauth2/jwks": (200, {"keys": []}),
            "/ciba/withdraw": UNKNOWN_ID,
            "/oauth2/introspect": (200, {"active": True}),
        }
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        if request.url.path not in self.answers:
            raise httpx2.ConnectError("nobody there")
        status, members = self.answers[request.url.path]
        return httpx2.Response(status, json=members)


def linked(sidecar: Sidecar) -> tuple[Link, Wire]:
    wire = Wire(
        issuer=ISSUER,
        credential=SharedSecret("gate-1", SecretStr("s" * 43)),
        transport=sidecar,
        now=lambda: NOW,
    )
    keys = RemoteKeys(f"{ISSUER}/oauth2/jwks", transport=Lent(sidecar))
    return Link(wire, keys, client_id="gate-1", pause_s=lambda _: 0.0), wire


async def test_a_sidecar_that_knows_the_gate_is_linked() -> None:
    sidecar = Sidecar()
    link, _ = linked(sidecar)
    assert isinstance(link.closed(), Unavailable)
    assert await link.look() is None
    assert link.closed() is None
    assert sidecar.asked == [
        "/.well-known/openid-configuration", "/oauth2/jwks", "/ciba/withdraw",
    ]  # fmt: skip
    assert await link.look() is None
    assert len(sidecar.asked) == 3


async def test_it_is_looked_for_until_it_is_there() -> None:
    sidecar = Sidecar()
    document = sidecar.answers.pop("/.well-known/openid-configuration")
    link, _ = linked(sidecar)

    looks = 0

    def pause_s(failures: int) -> float:
        nonlocal looks
        looks = failures
        if failures == 3:
            sidecar.answers["/.well-known/openid-configuration"] = document
        return 0.0

    link._pause_s = pause_s  # pyright: ignore[reportPrivateUsage]
    await link.keep()
    assert (looks, link.closed()) == (3, None)


REWRITTEN = "elsewhere: is a proxy rewriting its address?"
OTHERS: Mapping[str, tuple[Mapping[str, Json], str]] = {
    "nothing": ({"issuer": None}, "does not describe itself as an authorization server"),
    "another": ({"issuer": "https://evil.example"}, "calls itself 'https://evil.example': write"),
    "slash": ({"issuer": f"{ISSUER}/"}, f"calls itself '{ISSUER}/': write that as approvals.iss"),
    "provider": ({"signoff_withdraw_endpoint": None}, "is not a signoff sidecar, and other prov"),
    "token": (
        {"token_endpoint": "https://evil.example/oauth2/token"},
        f"has its token_endpoint {REWRITTEN}",
    ),
    "ask": (
        {"backchannel_authentication_endpoint": None},
        f"has its backchannel_authentication_endpoint {REWRITTEN}",
    ),
    "keys": (
        {"jwks_uri": "http://sidecar.example/oauth2/jwks"},
        f"has its jwks_uri {REWRITTEN}",
    ),
    "outcome": (
        {"signoff_outcome_endpoint": f"{ISSUER}/other"},
        f"has its signoff_outcome_endpoint {REWRITTEN}",
    ),
    "method": (
        {"token_endpoint_auth_methods_supported": ["client_secret_basic"]},
        "takes no private_key_jwt",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_a_server_that_describes_itself_otherwise_is_refused(name: str) -> None:
    change, sentence = OTHERS[name]
    sidecar = Sidecar()
    members = {name: value for name, value in {**DOCUMENT, **change}.items() if value is not None}
    sidecar.answers["/.well-known/openid-configuration"] = (200, members)
    link, _ = linked(sidecar)
    closed = await link.look()
    assert isinstance(closed, Refused)
    assert f"{ISSUER} {sentence}" in closed.description
    assert sidecar.asked == ["/.well-known/openid-configuration"], "and nothing else is sent"


def test_the_documents_of_this_version_hold() -> None:
    assert metadata_fault(DOCUMENT, ISSUER) is None


@pytest.mark.parametrize(
    ("status", "final"), [(404, True), (302, True), (500, False), (502, False)]
)
async def test_a_server_that_has_no_metadata_is_no_authorization_server(
    status: int, *, final: bool
) -> None:
    sidecar = Sidecar()
    sidecar.answers["/.well-known/openid-configuration"] = (status, {"detail": "not here"})
    link, _ = linked(sidecar)
    assert isinstance(await link.look(), Refused if final else Unavailable)
    assert sidecar.asked == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ((401, {"error": "invalid_client"}), "does not accept this gate's key"),
        ((400, {"error": "unauthorized_client"}), "gate-1 is no gate at https://sidecar.example"),
        ((200, {"status": "withdrawn"}), None),
        ((400, {"error": "invalid_request"}), None),
        ((404, {"detail": "not found"}), None),
        ((503, {"error": "temporarily_unavailable"}), None),
    ],
)
async def test_a_server_that_does_not_know_the_gate_is_no_link(
    answer: tuple[int, Mapping[str, Json]], refused: str | None
) -> None:
    sidecar = Sidecar()
    sidecar.answers["/ciba/withdraw"] = answer
    closed = await linked(sidecar)[0].look()
    if refused is None:
        assert isinstance(closed, Unavailable)
    else:
        assert isinstance(closed, Refused)
        assert refused in closed.description


@pytest.mark.parametrize("path", ["/oauth2/jwks", "/ciba/withdraw"])
async def test_a_server_that_is_half_there_is_no_link(path: str) -> None:
    sidecar = Sidecar()
    del sidecar.answers[path]
    assert isinstance(await linked(sidecar)[0].look(), Unavailable)


async def test_a_token_is_asked_about_once_a_minute() -> None:
    sidecar = Sidecar()
    _, wire = linked(sidecar)
    clock = [0.0]
    asked = Introspection(wire, closed=lambda: None, monotonic=lambda: clock[0])
    assert await asked.stands("token")
    sidecar.answers["/oauth2/introspect"] = (200, {"active": False})
    clock[0] += 59
    assert await asked.stands("token")
    clock[0] += 2
    assert not await asked.stands("token")
    assert len(sidecar.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [None, (401, {"error": "invalid_client"}), (503, {"a": 1}), (302, {"a": 1})],
)
async def test_a_token_stands_for_nobody_while_nobody_can_be_asked(
    answer: tuple[int, Mapping[str, Json]] | None,
) -> None:
    sidecar = Sidecar()
    _, wire = linked(sidecar)
    if answer is None:
        del sidecar.answers["/oauth2/introspect"]
    else:
        sidecar.answers["/oauth2/introspect"] = answer
    with pytest.raises(UnknownStandingError):
        await Introspection(wire, closed=lambda: None).stands("token")


@pytest.mark.parametrize("active", [False, None, "true", 1])
async def test_a_token_that_is_not_said_to_stand_does_not(active: Json) -> None:
    sidecar = Sidecar()
    sidecar.answers["/oauth2/introspect"] = (200, {"active": active})
    _, wire = linked(sidecar)
    assert not await Introspection(wire, closed=lambda: None).stands("token")


async def test_no_token_goes_to_a_server_that_has_not_shown_who_it_is() -> None:
    sidecar = Sidecar()
    link, wire = linked(sidecar)
    with pytest.raises(UnknownStandingError):
        await Introspection(wire, closed=link.closed).stands("token")
    assert sidecar.asked == []
