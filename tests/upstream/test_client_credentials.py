"""Tokens by client credentials: how the client shows itself, and how long a token is used."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from pydantic import SecretStr

from signoff.upstream.client_credentials import TokenSource, Wanted
from signoff.upstream.headers import CredentialError

SECRET = "s3cret/+&="

Asked = list[tuple[str, Mapping[str, str], bytes]]


def wanted(**more: Any) -> Wanted:
    given: dict[str, Any] = {
        "upstream": "bank", "scheme": "main", "token_url": "https://as.example/token",
        "client_id": "me:you", "client_secret": SecretStr(SECRET),
    }  # fmt: skip
    return Wanted(**(given | more))


def source(asked: Asked, members: Mapping[str, Any], now: list[float]) -> TokenSource:
    async def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        asked.append((url, headers, body))
        return 200, orjson.dumps({"access_token": f"tok-{len(asked)}", **members})

    return TokenSource(post, now_s=lambda: now[0])


async def test_a_client_shows_itself_in_the_header_unless_the_operator_says_otherwise() -> None:
    asked: Asked = []
    await source(asked, {}, [0.0]).token(wanted())

    [(_, headers, body)] = asked
    pair = base64.b64encode(b"me%3Ayou:s3cret%2F%2B%26%3D").decode()
    assert headers == {"Authorization": f"Basic {pair}"}
    assert body == b"grant_type=client_credentials"


async def test_a_client_may_show_itself_in_the_body_and_then_nowhere_else() -> None:
    asked: Asked = []
    tokens = source(asked, {}, [0.0])
    await tokens.token(wanted(auth_method="client_secret_post", scopes=("a",)))

    [(url, headers, body)] = asked
    assert (url, headers) == ("https://as.example/token", {})
    assert parse_qs(body.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "scope": ["a"],
        "client_id": ["me:you"],
        "client_secret": [SECRET],
    }


@pytest.mark.parametrize(
    ("expires_in", "usable_s"),
    [
        (3600, 3570),
        ("3600", 3570),  # some servers write it as text
        (3600.5, 3570.5),
        (None, 270),  # RFC 6749 §5.1: it may be left out
        (10**9, 86_370),
        ("9" * 400, 86_370),
        (30, 0),
        (0, 0),
        (-5, 0),
        ("", 0),
        ("soon", 0),
        ("-3600", 0),
        ("3600 ", 0),
        (True, 0),
        ([3600], 0),
        ({}, 0),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_a_token_is_used_until_half_a_minute_before_its_end(
    expires_in: object, usable_s: float
) -> None:
    asked: Asked = []
    now = [100.0]
    tokens = source(asked, {"expires_in": expires_in}, now)
    await tokens.token(wanted())

    if usable_s:
        now[0] = 100.0 + usable_s - 0.001
        assert (await tokens.token(wanted())).text == "tok-1"
    now[0] = 100.0 + usable_s
    assert (await tokens.token(wanted())).text == "tok-2"


async def test_a_rotated_secret_or_another_caller_gets_a_token_of_its_own() -> None:
    asked: Asked = []
    tokens = source(asked, {"expires_in": 3600}, [0.0])
    one = (await tokens.token(wanted())).text

    assert (await tokens.token(wanted())).text == one
    for other in (
        {"client_secret": SecretStr("other")},
        {"client_id": "someone-else"},
        {"token_url": "https://as.example/other"},
        {"scopes": ("wider",)},
        {"audience": "https://other.example"},
    ):
        assert (await tokens.token(wanted(**other))).text != one


async def test_a_token_of_one_upstream_is_never_anothers() -> None:
    asked: Asked = []
    tokens = source(asked, {"expires_in": 3600}, [0.0])

    one = (await tokens.token(wanted())).text
    assert (await tokens.token(wanted(upstream="shop"))).text != one
    assert (await tokens.token(wanted(scheme="other"))).text != one


@pytest.mark.parametrize("status", [199, 201, 204, 302, 400, 401, 429, 500])
async def test_another_status_is_told_and_nothing_of_its_body(status: int) -> None:
    async def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        assert url
        assert headers is not None
        return status, b'{"access_token":"leak","error":"leak"}' + body

    tokens = TokenSource(post, now_s=lambda: 0.0)
    with pytest.raises(CredentialError) as caught:
        await tokens.token(wanted(auth_method="client_secret_post"))
    assert str(caught.value) == f"the token endpoint of main answered {status}"
