"""The CIBA client on the wire: what it sends, what each answer means, and that it never lets go."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from urllib.parse import parse_qs

import httpx2
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signoff.gate import ciba
from signoff.gate.ciba import CibaClient, PollAnswer
from signoff.gate.credentials import SharedSecret
from signoff.gate.wire import Wire

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DETAILS = {"type": "tool_call", "call_id": "call_1"}


class Server:
    """An authorization server that answers what it is told and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"{}", dict[str, str]()
        self.asked: list[tuple[str, dict[str, list[str]], Mapping[str, str]]] = []
        self.hold: asyncio.Event | None = None
        self.arrived = asyncio.Event()
        self.cancelled = 0
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode(), strict_parsing=True)
        self.asked.append((request.url.path, form, request.headers))
        self.arrived.set()
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return Response(self.body, self.status, self.headers)

    def says(self, status: int, **members: object) -> None:
        self.status, self.body = status, json.dumps(members).encode()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def client(server: Server) -> AsyncGenerator[CibaClient, None]:
    client = CibaClient(
        Wire(
            issuer="http://localhost:8420",
            credential=SharedSecret("signoff-gate", SecretStr("secret")),
            transport=httpx2.ASGITransport(server.app, raise_app_exceptions=False),
            now=lambda: NOW,
        ),
        client_id="signoff-gate",
    )
    yield client
    await client.close()


async def ask(client: CibaClient) -> ciba.Asked | ciba.Refused | ciba.Unavailable:
    return await client.ask(
        DETAILS,
        login_hint="alice",
        binding_message="pay ABCD1234",
        requested_expiry_s=900,
        acr="session",
        resource="http://localhost:8420/gate",
    )


@pytest.mark.seed("CIBA-63")
async def test_the_request_has_the_parameters_of_the_specification(
    client: CibaClient, server: Server
) -> None:
    server.says(200, auth_req_id="r1", expires_in=900, interval=5)
    answer = await ask(client)
    assert answer == ciba.Asked(
        auth_req_id=SecretStr("r1"), expires_in_s=900, interval_s=5, approve_at=None
    )
    path, form, headers = server.asked[0]
    assert path == "/oauth2/bc-authorize"
    assert {name: values for name, values in form.items() if name != "authorization_details"} == {
        "scope": ["openid"],
        "login_hint": ["alice"],
        "binding_message": ["pay ABCD1234"],
        "requested_expiry": ["900"],
        "acr_values": ["session"],
        "resource": ["http://localhost:8420/gate"],
    }
    assert json.loads(form["authorization_details"][0]) == [DETAILS]
    assert headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"auth_req_id": 1, "expires_in": 900}',
        b'{"auth_req_id": "r"}',
        b'{"auth_req_id": "r", "expires_in": 0}',
        b'{"auth_req_id": "r", "expires_in": true}',
        b'{"auth_req_id": "r", "expires_in": "900"}',
        b'{"auth_req_id": "r", "expires_in": 900, "interval": -1}',
        b'{"auth_req_id": "r", "auth_req_id": "s", "expires_in": 900}',
    ],
)
async def test_an_answer_that_is_not_cibas_is_asked_for_again(
    client: CibaClient, server: Server, body: bytes
) -> None:
    server.body = body
    assert isinstance(await ask(client), ciba.Unavailable)


@pytest.mark.seed("CIBA-38")
async def test_members_that_nobody_knows_change_nothing(client: CibaClient, server: Server) -> None:
    server.says(200, auth_req_id="r1", expires_in=900, interval=7, hint={"a": [1]}, expires_at=None)
    answer = await ask(client)
    assert answer == ciba.Asked(
        auth_req_id=SecretStr("r1"), expires_in_s=900, interval_s=7, approve_at=None
    )


async def test_without_an_interval_it_is_five_seconds(client: CibaClient, server: Server) -> None:
    server.says(200, auth_req_id="r1", expires_in=900)
    answer = await ask(client)
    assert isinstance(answer, ciba.Asked)
    assert answer.interval_s == 5


@pytest.mark.parametrize(
    ("status", "error", "final"),
    [
        (400, "invalid_authorization_details", True),
        (401, "invalid_client", False),
        (429, "slow_down", False),
        (503, "temporarily_unavailable", False),
        (400, None, False),
        (302, None, False),
    ],
)
async def test_only_a_refusal_of_the_request_is_final(
    client: CibaClient, server: Server, status: int, error: str | None, *, final: bool
) -> None:
    server.says(status, **({"error": error, "error_description": "why"} if error else {}))
    answer = await ask(client)
    if final:
        assert answer == ciba.Refused(error=str(error), description="why")
    else:
        assert isinstance(answer, ciba.Unavailable)


async def test_a_user_who_is_unknown_there_is_named(client: CibaClient, server: Server) -> None:
    server.says(400, error="unknown_user_id", error_description="why")
    assert await ask(client) == ciba.Refused(
        error="unknown_user_id",
        description="alice is no user at http://localhost:8420, or cannot be asked there",
    )


@pytest.mark.parametrize(
    ("members", "meaning"),
    [
        ({"error": "authorization_pending"}, ciba.Pending()),
        ({"error": "slow_down"}, ciba.SlowDown()),
        ({"error": "expired_token"}, ciba.Expired()),
        ({"error": "invalid_grant"}, ciba.Gone()),
        ({"error": "access_denied"}, ciba.Denied(by=None, reason=None)),
        (
            {"error": "access_denied", "denied_by": "alice", "reason": "no"},
            ciba.Denied(by="alice", reason="no"),
        ),
    ],
)
async def test_each_error_of_a_poll_has_its_meaning(
    client: CibaClient, server: Server, members: dict[str, object], meaning: PollAnswer
) -> None:
    server.says(400, **members)
    assert await client.poll("r1") == meaning


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_any_other_answer_of_a_poll_decides_nothing(
    client: CibaClient, server: Server, status: int
) -> None:
    server.says(status, error="access_denied", denied_by="alice")
    server.headers = {"retry-after": "7"}
    answer = await client.poll("r1")
    assert isinstance(answer, ciba.Unavailable)
    assert answer.retry_after_s == 7


@pytest.mark.parametrize("seconds", ["31", "86400", "9" * 400])
async def test_nobody_is_kept_waiting_for_longer_than_a_yes_lasts(
    client: CibaClient, server: Server, seconds: str
) -> None:
    server.says(503)
    server.headers = {"retry-after": seconds}
    answer = await client.poll("r1")
    assert isinstance(answer, ciba.Unavailable)
    assert answer.retry_after_s == 30


@pytest.mark.parametrize("page", [b"<h1>Sign in to this network</h1>", b"", b"[]", b'"yes"'])
async def test_a_page_of_something_in_between_is_no_answer(
    client: CibaClient, server: Server, page: bytes
) -> None:
    server.body = page
    told = ciba.Unavailable(
        reason="the authorization server http://localhost:8420 answers what none would"
    )
    assert await client.poll("r1") == told
    assert await client.stands("token") == told
    assert await client.withdraw("r1") == told
    assert await client.report("r1", state="succeeded", at=NOW) == told


@pytest.mark.parametrize("error", ["server_error", "", None, 5])
async def test_an_unknown_error_of_a_poll_decides_nothing(
    client: CibaClient, server: Server, error: object
) -> None:
    server.says(400, error=error)
    assert isinstance(await client.poll("r1"), ciba.Unavailable)


@pytest.mark.parametrize("members", [{}, {"access_token": "a"}, {"id_token": "i"}])
async def test_a_yes_without_both_tokens_is_lost(
    client: CibaClient, server: Server, members: dict[str, object]
) -> None:
    server.says(200, **members)
    assert await client.poll("r1") == ciba.Gone()


async def test_a_poll_asks_to_be_held(client: CibaClient, server: Server) -> None:
    server.says(200, access_token="a", id_token="i")
    answer = await client.poll("r1")
    assert answer == ciba.Granted(access_token=SecretStr("a"), id_token=SecretStr("i"))
    path, form, headers = server.asked[0]
    assert (path, headers["prefer"]) == ("/oauth2/token", "wait=25")
    assert form == {"grant_type": [ciba.GRANT_TYPE], "auth_req_id": ["r1"]}


async def test_a_poll_asks_to_be_held_for_as_long_as_its_way_is_open(server: Server) -> None:
    client = CibaClient(
        Wire(
            issuer="http://localhost:8420/",
            credential=SharedSecret("c", SecretStr("s")),
            transport=httpx2.ASGITransport(server.app),
            now=lambda: NOW,
        ),
        client_id="c",
        hold_s=ciba.HOLD_HERE_S,
    )
    server.says(400, error="authorization_pending")
    assert await client.poll("r1") == ciba.Pending()
    assert server.asked[0][2]["prefer"] == "wait=240"
    await client.close()


async def test_another_providers_poll_does_not_ask_to_be_held(server: Server) -> None:
    client = CibaClient(
        Wire(
            issuer="http://localhost:8420/",
            credential=SharedSecret("c", SecretStr("s")),
            transport=httpx2.ASGITransport(server.app),
            now=lambda: NOW,
        ),
        client_id="c",
        hold_s=0,
    )
    server.says(400, error="authorization_pending")
    assert await client.poll("r1") == ciba.Pending()
    assert "prefer" not in server.asked[0][2]
    await client.close()


async def test_whoever_stops_waiting_does_not_cut_the_exchange_and_meets_it_again(
    client: CibaClient, server: Server
) -> None:
    server.hold = asyncio.Event()
    server.says(200, access_token="a", id_token="i")
    first = asyncio.create_task(client.poll("r1"))
    await server.arrived.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    server.hold.set()
    assert isinstance(await client.poll("r1"), ciba.Granted)
    assert (len(server.asked), server.cancelled) == (1, 0)


async def test_released_polls_end_and_later_ones_are_not_held(
    client: CibaClient, server: Server
) -> None:
    server.hold = asyncio.Event()
    poll = asyncio.create_task(client.poll("r1"))
    await server.arrived.wait()
    client.release()
    assert isinstance(await poll, ciba.Unavailable)
    server.hold = None
    server.says(400, error="authorization_pending")
    assert await client.poll("r1") == ciba.Pending()
    assert "prefer" not in server.asked[-1][2]


async def test_the_contexts_variables_do_not_travel_into_the_server(
    client: CibaClient, server: Server
) -> None:
    server.says(400, error="authorization_pending")
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen: list[str] = []
    answered = server.answer

    async def look(request: Request) -> Response:
        seen.append(variable.get())
        variable.set("by the server")
        return await answered(request)

    server.app.routes[:] = [Route("/{path:path}", look, methods=["POST"])]
    variable.set("by the caller")
    await client.poll("r1")
    assert (seen, variable.get()) == (["unset"], "by the caller")


async def test_an_outcome_is_told_with_time_and_a_short_note(
    client: CibaClient, server: Server
) -> None:
    at = datetime(2026, 11, 22, 14, tzinfo=UTC)
    heard = await client.report("r1", state="failed", at=at, note="n" * 300)
    assert heard == ciba.Heard()
    path, form, _ = server.asked[0]
    assert path == "/ciba/outcome"
    assert form == {
        "auth_req_id": ["r1"],
        "state": ["failed"],
        "at": ["2026-11-22T14:00:00+00:00"],
        "note": ["n" * 200],
    }


async def test_secrets_do_not_show_in_what_is_logged_of_an_answer(
    client: CibaClient, server: Server
) -> None:
    server.says(200, access_token="canary-a", id_token="canary-i")
    assert "canary" not in repr(await client.poll("r1"))
