"""The gate's way to an authorization server elsewhere: its key, its bounds, and why it failed."""

import asyncio
import datetime as dt
import gzip
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from memory_keys import MemoryKeys
from signoff.gate import ciba
from signoff.gate.ciba import CibaClient
from signoff.gate.credentials import SigningKeys
from signoff.gate.wire import Reply, Unavailable, Wire, over_network
from signoff.tokens.client_keys import ClientKey, ClientKeys
from signoff.tokens.keys import KeySet
from signoff.tokens.verify import verify_client_assertion

ISSUER = "https://sidecar.example"
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


async def made(count: int = 1) -> ClientKeys:
    clock = iter(NOW + dt.timedelta(days=day) for day in range(count))
    keys = ClientKeys(MemoryKeys(), now=lambda: next(clock))
    for _ in range(count):
        await keys.make()
    return keys


class Sidecar(httpx2.AsyncBaseTransport):
    """Accepts assertions of the keys that are registered, and answers as it is told."""

    def __init__(self, registered: Sequence[ClientKey] = (), *, now: dt.datetime = NOW) -> None:
        self.registered = KeySet([key.public() for key in registered])
        self.now, self.seen = now, list[str]()
        self.headers: dict[str, str] = {}
        self.says: tuple[int, bytes] = (400, b'{"error": "authorization_pending"}')

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        form = {name: values[0] for name, values in parse_qs(request.read().decode()).items()}
        assertion = form["client_assertion"]
        self.seen.append(assertion)
        assert form["client_id"] == "gate-1"
        assert "authorization" not in request.headers
        try:
            verify_client_assertion(
                assertion,
                keys=self.registered,
                client_id="gate-1",
                audiences={ISSUER},
                now=self.now,
            )
        except Exception:  # noqa: BLE001 — any fault is the same answer
            return httpx2.Response(401, json={"error": "invalid_client"}, headers=self.headers)
        return httpx2.Response(self.says[0], content=self.says[1], headers=self.headers)


def wire(sidecar: httpx2.AsyncBaseTransport, keys: Sequence[ClientKey]) -> Wire:
    credential = SigningKeys("gate-1", issuer=ISSUER, keys=lambda: keys, now=lambda: NOW)
    return Wire(issuer=ISSUER, credential=credential, transport=sidecar, now=lambda: NOW)


async def ask(client: CibaClient) -> ciba.Asked | ciba.Refused | ciba.Unavailable:
    return await client.ask(
        {"type": "tool_call", "call_id": "call_1"},
        login_hint="alice",
        binding_message="pay ABCD1234",
        requested_expiry_s=900,
        acr="session",
        resource=f"{ISSUER}/gate",
    )


async def test_the_gate_signs_each_request_anew_for_the_issuer_alone() -> None:
    keys = (await made()).newest_first
    sidecar = Sidecar(keys)
    client = CibaClient(wire(sidecar, keys), client_id="gate-1")
    assert await client.poll("r1") == ciba.Pending()
    assert await client.poll("r1") == ciba.Pending()
    first, second = sidecar.seen
    assert first != second
    claims = verify_client_assertion(
        first, keys=sidecar.registered, client_id="gate-1", audiences={ISSUER}, now=NOW
    )
    assert (claims["aud"], claims["iss"], claims["sub"]) == (ISSUER, "gate-1", "gate-1")


@pytest.mark.parametrize("seconds", [-140, -60, 0, 60, 140])
async def test_clocks_that_differ_by_two_minutes_still_let_the_gate_in(seconds: int) -> None:
    keys = (await made()).newest_first
    sidecar = Sidecar(keys, now=NOW + dt.timedelta(seconds=seconds))
    assert await CibaClient(wire(sidecar, keys), client_id="gate-1").poll("r1") == ciba.Pending()


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_clocks_an_hour_apart_are_named_as_the_cause(seconds: int) -> None:
    keys = (await made()).newest_first
    sidecar = Sidecar(keys, now=NOW + dt.timedelta(seconds=seconds))
    sidecar.headers = {"date": format_datetime(sidecar.now, usegmt=True)}
    answer = await ask(CibaClient(wire(sidecar, keys), client_id="gate-1"))
    assert isinstance(answer, ciba.Refused)
    apart = f"3600 s {'ahead of' if seconds > 0 else 'behind'}"
    assert f"the clock of https://sidecar.example is {apart} ours: set both" in answer.description


@pytest.mark.parametrize("seconds", [-10, 0, 10])
async def test_clocks_that_agree_are_not_named_whatever_this_machine_s_tells(seconds: int) -> None:
    keys = (await made()).newest_first
    sidecar = Sidecar([], now=NOW + dt.timedelta(seconds=seconds))
    sidecar.headers = {"date": format_datetime(sidecar.now, usegmt=True)}
    answer = await ask(CibaClient(wire(sidecar, keys), client_id="gate-1"))
    assert isinstance(answer, ciba.Refused)
    assert answer.description.endswith("does not accept this gate's key: register it there")


async def test_while_keys_change_either_may_be_the_registered_one() -> None:
    keys = (await made(2)).newest_first
    for registered in keys:
        sidecar = Sidecar([registered])
        client = CibaClient(wire(sidecar, keys), client_id="gate-1")
        assert await client.poll("r1") == ciba.Pending()
        tries = len(sidecar.seen)
        assert await client.poll("r2") == ciba.Pending()
        assert len(sidecar.seen) == tries + 1, "the one that was taken is tried first"


async def test_a_key_that_is_not_registered_refuses_the_request_and_says_what_to_do() -> None:
    keys = (await made(2)).newest_first
    sidecar = Sidecar([(await made()).newest_first[0]])
    client = CibaClient(wire(sidecar, keys), client_id="gate-1")
    assert await ask(client) == ciba.Refused(
        error="invalid_client",
        description="https://sidecar.example does not accept this gate's key: register it there",
    )
    assert len(sidecar.seen) == 2


async def test_a_key_that_is_refused_while_a_person_decides_loses_no_call() -> None:
    keys = (await made()).newest_first
    client = CibaClient(wire(Sidecar(), keys), client_id="gate-1")
    assert isinstance(await client.poll("r1"), ciba.Unavailable)
    assert isinstance(await client.withdraw("r1"), ciba.Unavailable)
    assert isinstance(await client.report("r1", state="failed", at=NOW), ciba.Unavailable)
    assert client.trouble is not None
    assert "does not accept" in client.trouble


async def test_a_gate_without_a_key_sends_nothing() -> None:
    sidecar = Sidecar()
    assert isinstance(await wire(sidecar, ()).post("oauth2/token", {}, key="k"), Unavailable)
    assert sidecar.seen == []


@pytest.mark.parametrize(
    "closed",
    [
        ciba.Unavailable(reason="not there yet"),
        ciba.Refused(error="invalid_request", description="not there yet"),
    ],
)
async def test_nothing_goes_to_a_server_that_has_not_shown_who_it_is(
    closed: ciba.Unavailable | ciba.Refused,
) -> None:
    keys = (await made()).newest_first
    sidecar = Sidecar(keys)
    client = CibaClient(wire(sidecar, keys), client_id="gate-1", closed=lambda: closed)
    assert await ask(client) == closed
    unavailable = ciba.Unavailable(reason="not there yet")
    assert await client.poll("r1") == unavailable
    assert await client.withdraw("r1") == unavailable
    assert await client.report("r1", state="failed", at=NOW) == unavailable
    assert (client.trouble, sidecar.seen) == ("not there yet", [])


@pytest.mark.parametrize(
    "answer",
    [
        (302, b""),
        (200, b""),
        (502, b"<html>"),
        (200, b"[]"),
        (200, b'{"auth_req_id": "r"}'),
        (200, b'{"auth_req_id": "a", "auth_req_id": "b", "expires_in": 9}'),
    ],
)
async def test_what_is_no_answer_of_an_authorization_server_decides_nothing(
    answer: tuple[int, bytes],
) -> None:
    keys = (await made()).newest_first
    sidecar = Sidecar(keys)
    sidecar.says = answer
    assert isinstance(
        await ask(CibaClient(wire(sidecar, keys), client_id="gate-1")), ciba.Unavailable
    )


@pytest.mark.parametrize("packed", [False, True])
async def test_an_endless_answer_is_cut_off(*, packed: bool) -> None:
    keys = (await made()).newest_first
    sidecar = Sidecar(keys)
    body = b'{"a": "' + b"a" * 3_000_000 + b'"}'
    sidecar.says = (200, gzip.compress(body) if packed else body)
    sidecar.headers = {"content-encoding": "gzip"} if packed else {}
    answer = await CibaClient(wire(sidecar, keys), client_id="gate-1").poll("r1")
    assert answer == ciba.Unavailable(
        reason="the authorization server https://sidecar.example answers more than an "
        "authorization server would"
    )


async def test_a_request_that_is_met_again_is_sent_once() -> None:
    keys = (await made()).newest_first
    go_on = asyncio.Event()

    class Slow(Sidecar):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            answered = await super().handle_async_request(request)
            await go_on.wait()
            return answered

    slow = Slow(keys)
    client = CibaClient(wire(slow, keys), client_id="gate-1")
    first = asyncio.create_task(client.poll("r1"))
    second = asyncio.create_task(client.poll("r1"))
    await asyncio.sleep(0)
    go_on.set()
    assert [await first, await second] == [ciba.Pending(), ciba.Pending()]
    assert len(slow.seen) == 1


async def test_nobody_at_the_address_is_said_so() -> None:
    unused = Wire(
        issuer="http://127.0.0.1:1",
        credential=SigningKeys("gate-1", issuer="x", keys=lambda: (), now=lambda: NOW),
        transport=over_network(None),
        now=lambda: NOW,
    )
    answer = await unused.get("oauth2/jwks")
    assert answer == Unavailable(
        reason="the authorization server http://127.0.0.1:1 cannot be reached"
    )
    assert unused.trouble == "the authorization server http://127.0.0.1:1 cannot be reached"
    await unused.close()


def certificate(folder: Path, *, name: str) -> ssl.SSLContext:
    """Make a certificate that vouches for itself; `ca.pem` in the folder is what to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    made = (
        x509
        .CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


@asynccontextmanager
async def https(folder: Path, *, name: str) -> AsyncGenerator[int, None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    context = certificate(folder, name=name)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [
        ("localhost", True, None),
        ("localhost", False, "shows a certificate that does not hold (self-signed certificate)"),
        ("elsewhere.example", True, "shows a certificate that does not hold (Hostname mismatch"),
    ],
)
async def test_a_certificate_must_hold_for_the_name(
    tmp_path: Path, name: str, why: str | None, *, trusted: bool
) -> None:
    async with https(tmp_path, name=name) as port:
        verify = ssl.create_default_context(cafile=str(tmp_path / "ca.pem")) if trusted else None
        there = Wire(
            issuer=f"https://localhost:{port}",
            credential=SigningKeys("gate-1", issuer="x", keys=lambda: (), now=lambda: NOW),
            transport=over_network(verify),
            now=lambda: NOW,
        )
        answer = await there.get("oauth2/jwks")
        await there.close()
    if why is None:
        assert isinstance(answer, Reply)
    else:
        assert isinstance(answer, Unavailable)
        assert why in answer.reason
