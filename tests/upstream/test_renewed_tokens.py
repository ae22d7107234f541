"""A kept token that the upstream refuses: who is sent once more with a new one, and who never."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from signoff.catalog.model import Credential, Retry, ToolSpec, Upstream
from signoff.catalog.wire import Security, SecurityScheme
from signoff.upstream.headers import parsed
from signoff.upstream.retries import ATTEMPTS
from signoff.upstream.transport import Answered, Sent, Transports, Unknown
from upstream_parts import frozen, references, tool, upstream
from wire import Script, Wire, answer, listening

pytestmark = pytest.mark.usefixtures("each_client")

GOOD = answer()
NO = answer("401 No", b'{"error":"expired"}')
BUSY = answer("503 Busy", b"", "text/plain", "Retry-After: 0")


def each(contents: Sequence[bytes]) -> Script:
    """Return a script that answers each request with the next content; the last one closes."""
    left = list(contents)

    async def script(writer: asyncio.StreamWriter) -> None:
        content = left.pop(0) if left else b""
        if not content:
            writer.close()
            return
        writer.write(content)
        await writer.drain()

    return script


def issuing(count: int | None = None) -> Script:
    """Return a token endpoint that gives `tok-1`, `tok-2` and on; after `count` it gives none."""
    given: list[int] = []

    async def script(writer: asyncio.StreamWriter) -> None:
        if count is not None and len(given) >= count:
            writer.write(answer("400 No", b'{"error":"invalid_client"}'))
        else:
            given.append(len(given) + 1)
            members = {"access_token": f"tok-{given[-1]}", "expires_in": 3600}
            writer.write(answer(body=json.dumps(members).encode()))
        await writer.drain()

    return script


def by_client(wire: Wire, name: str) -> Credential:
    return Credential(
        scheme=SecurityScheme(name=name, kind="api_key", carrier="header", key=f"X-{name}"),
        kind="client_credentials",
        client_id=parsed("me"),
        client_secret=parsed("${env:BANK_TOKEN}"),
        token_url=f"{wire.url}/token",
    )


@dataclass(frozen=True, slots=True)
class Bank:
    """An upstream, its token endpoint, and calls to it."""

    api: Wire
    tokens: Wire
    to: Upstream
    transports: Transports

    async def send(self, spec: ToolSpec, *, fresh: bool = False, **more: Any) -> Sent:
        request = frozen(spec, {}, to=self.to)
        return await self.transports.send(request, self.to, fresh=fresh, **more)

    def used(self) -> list[str]:
        """Return the tokens that the upstream saw, in order."""
        heads = (dict(self.api.head(at)[1]) for at in range(len(self.api.requests)))
        return [head["X-main"] for head in heads]


@asynccontextmanager
async def bank(
    tmp_path: Path, *answers: bytes, tokens: Script | None = None, **more: Any
) -> AsyncGenerator[Bank, None]:
    async with listening(tokens or issuing()) as endpoint, listening(each(answers)) as api:
        credentials: Mapping[str, Credential] = {"main": by_client(endpoint, "main")}
        to = upstream(api.url, credentials=credentials, **more)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            yield Bank(api, endpoint, to, transports)


def secured(**more: Any) -> ToolSpec:
    return tool("/x", security=Security(credentials=("main",)), **more)


def status_of(sent: Sent) -> int:
    assert isinstance(sent, Answered)
    return sent.status


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_a_kept_token_that_is_refused_is_fetched_anew_and_the_call_sent_once_more(
    method: str, tmp_path: Path
) -> None:
    no, good = (answer("401 No", b""), answer(body=b"")) if method == "HEAD" else (NO, GOOD)
    async with bank(tmp_path, good, no, good) as to:
        first = await to.send(secured(method=method))
        second = await to.send(secured(method=method))
        assert [status_of(first), status_of(second)] == [200, 200]
        assert to.used() == ["tok-1", "tok-1", "tok-2"]
        assert len(to.tokens.requests) == 2


async def test_a_post_that_is_declared_repeatable_is_sent_once_more_and_no_other(
    tmp_path: Path,
) -> None:
    for retry, tokens in (
        (Retry(kind="natural"), ["tok-1", "tok-1", "tok-2"]),
        (Retry(), ["tok-1", "tok-1"]),
        (Retry(kind="idempotency_key"), ["tok-1", "tok-1"]),
    ):
        async with bank(tmp_path, GOOD, NO, GOOD) as to:
            await to.send(secured())
            sent = await to.send(secured(method="POST", retry=retry))
            assert status_of(sent) == (200 if len(tokens) == 3 else 401)
            assert to.used() == tokens


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_gated_call_is_never_sent_once_more(method: str, tmp_path: Path) -> None:
    left: list[None] = []

    async def leaves() -> None:
        left.append(None)

    async with bank(tmp_path, GOOD, NO, GOOD) as to:
        await to.send(secured(method=method))
        sent = await to.send(
            secured(method=method),
            fresh=True,
            approval_token=SecretStr("eyJ"),
            before_first_byte=leaves,
        )
        assert status_of(sent) == 401
        assert to.used() == ["tok-1", "tok-1"]
        assert len(to.tokens.requests) == 1
        assert left == [None]
        # The refused token is dropped all the same: the next call has a new one.
        assert status_of(await to.send(secured(method=method))) == 200
        assert to.used()[-1] == "tok-2"


async def test_a_token_fetched_for_this_call_is_not_fetched_again(tmp_path: Path) -> None:
    async with bank(tmp_path, NO, GOOD) as to:
        assert status_of(await to.send(secured())) == 401
        assert to.used() == ["tok-1"]
        assert len(to.tokens.requests) == 1


async def test_a_token_fetched_for_an_earlier_attempt_of_this_call_is_not_fetched_again(
    tmp_path: Path,
) -> None:
    async with bank(tmp_path, BUSY, NO, GOOD) as to:
        assert status_of(await to.send(secured())) == 401
        assert to.used() == ["tok-1", "tok-1"]
        assert len(to.tokens.requests) == 1


async def test_a_new_token_that_is_refused_too_ends_the_call(tmp_path: Path) -> None:
    async with bank(tmp_path, GOOD, NO, NO, GOOD) as to:
        await to.send(secured())
        assert status_of(await to.send(secured())) == 401
        assert to.used() == ["tok-1", "tok-1", "tok-2"]


async def test_a_call_is_renewed_once_and_counts_among_its_attempts(tmp_path: Path) -> None:
    async with bank(tmp_path, GOOD, NO, BUSY, NO, GOOD) as to:
        await to.send(secured())
        assert status_of(await to.send(secured())) == 401
        assert to.used() == ["tok-1", "tok-1", "tok-2", "tok-2"]
    async with bank(tmp_path, GOOD, *[BUSY] * (ATTEMPTS - 1), NO, GOOD) as to:
        await to.send(secured())
        assert status_of(await to.send(secured())) == 401
        assert len(to.api.requests) == 1 + ATTEMPTS


async def test_where_no_new_token_is_to_be_had_the_refusal_is_told(tmp_path: Path) -> None:
    async with bank(tmp_path, GOOD, NO, GOOD, tokens=issuing(1)) as to:
        await to.send(secured())
        sent = await to.send(secured())
        assert isinstance(sent, Answered)
        assert (sent.status, sent.body) == (401, b'{"error":"expired"}')
        assert to.used() == ["tok-1", "tok-1"]
        assert len(to.tokens.requests) == 2


async def test_a_connection_that_breaks_under_the_new_token_is_no_refusal(tmp_path: Path) -> None:
    async with bank(tmp_path, GOOD, answer("401 No", b"", "text/plain", "Connection: close")) as to:
        await to.send(secured())
        assert isinstance(await to.send(secured()), Unknown)
        assert to.used() == ["tok-1", "tok-1", "tok-2"]


@pytest.mark.parametrize("status", ["400 No", "403 No", "407 No", "500 No"])
async def test_no_other_answer_costs_a_token(status: str, tmp_path: Path) -> None:
    async with bank(tmp_path, GOOD, answer(status), GOOD) as to:
        await to.send(secured())
        assert status_of(await to.send(secured())) == int(status[:3])
        await to.send(secured())
        assert to.used() == ["tok-1", "tok-1", "tok-1"]


async def test_a_refusal_without_a_fetched_token_is_told_at_once(tmp_path: Path) -> None:
    async with listening(each([NO, GOOD])) as api:
        to = upstream(api.url, headers={"Authorization": "Bearer ${env:BANK_TOKEN}"})
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            sent = await transports.send(frozen(tool("/x"), {}, to=to), to, fresh=False)
    assert status_of(sent) == 401
    assert len(api.requests) == 1


async def test_of_two_tokens_one_that_was_just_fetched_stands_for_both(tmp_path: Path) -> None:
    async with listening(issuing()) as endpoint, listening(each([GOOD, NO, GOOD])) as api:
        credentials = {name: by_client(endpoint, name) for name in ("main", "other")}
        to = upstream(api.url, credentials=credentials)
        both = tool("/x", security=Security(credentials=("main", "other")))
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            await transports.send(frozen(secured(), {}, to=to), to, fresh=False)
            sent = await transports.send(frozen(both, {}, to=to), to, fresh=False)
    assert status_of(sent) == 401
    assert len(api.requests) == 2


async def test_calls_that_share_a_refused_token_share_the_new_one(tmp_path: Path) -> None:
    """What another call fetched meanwhile is used, and not dropped for the token before it."""
    release = asyncio.Event()
    refused: list[asyncio.StreamWriter] = []
    started = False

    async def script(writer: asyncio.StreamWriter) -> None:
        if not started or release.is_set():
            writer.write(GOOD)
        else:
            refused.append(writer)
            if len(refused) == 4:  # all four went out with the one token
                for one in refused:
                    one.write(NO)
                    await one.drain()
                release.set()
        await writer.drain()

    async with listening(issuing()) as endpoint, listening(script) as api:
        to = upstream(api.url, credentials={"main": by_client(endpoint, "main")})
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            request = frozen(secured(), {}, to=to)
            await transports.send(request, to, fresh=False)
            started = True
            sent = await asyncio.gather(
                *(transports.send(request, to, fresh=False) for _ in range(4))
            )
    assert [status_of(one) for one in sent] == [200] * 4
    assert len(endpoint.requests) == 2
