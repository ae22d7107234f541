"""Client id metadata documents: fetched without being led astray, and believed no further."""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.x509.oid import NameOID

from as_parts import refused
from conftest import TurnedClock
from document_site import Site, a_site
from host_house import HostHouse, host_house, query
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.upstream.guard import Guard


@pytest.fixture
async def site() -> AsyncGenerator[Site, None]:
    async with a_site() as running:
        yield running


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer, documents={"loopback": True}) as running:
        yield running


async def test_a_host_signs_in_by_its_document_alone(house: HostHouse, site: Site) -> None:
    alice = await house.person()
    page = (await alice.ask(query(site.url))).text
    assert "A web host" in page
    assert "Describes itself at" in page
    assert site.url in page
    given = await house.signed_in(site.url)
    assert house.claims(given["access_token"])["client_id"] == site.url
    refreshed = await house.refresh(given["refresh_token"], site.url)
    assert refreshed.status_code == 200
    assert len(site.hits) == 1  # believed for an hour, and never fetched for a token


async def test_nothing_is_fetched_for_who_is_not_signed_in(house: HostHouse, site: Site) -> None:
    assert (await house.http.get(f"/oauth2/authorize?{query(site.url)}")).status_code == 401
    refused(await house.redeem("code", site.url), "invalid_client", status=401)
    assert site.hits == []


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "https://other.example/client.json"},
        {"client_id": None},
        {"client_id": ["x"]},
        {"client_secret": "s"},
        {"client_secret_expires_at": 0},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"dpop_bound_access_tokens": "yes"},
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": "http://127.0.0.1/callback"},
        {"redirect_uris": ["http://127.0.0.1/callback", "javascript:alert(1)"]},
        {"redirect_uris": ["http://tools.example/cb"]},
        {"client_name": ""},
        {"client_name": "x" * 101},
        {"client_name": "Cla\u202eude"},
        {"client_name": 7},
        {"grant_types": ["client_credentials"]},
        {"grant_types": "authorization_code"},
    ],
)
async def test_a_document_that_does_not_hold_opens_nothing(
    house: HostHouse, site: Site, changed: dict[str, Any]
) -> None:
    site.serve(site.document(**changed))
    answer = await (await house.person()).ask(query(site.url))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "client.document_read" not in await house.events()


async def test_grants_of_a_document_are_cut_to_those_of_hosts(house: HostHouse, site: Site) -> None:
    grants = ["authorization_code", "urn:openid:params:grant-type:ciba", "client_credentials"]
    site.serve(site.document(grant_types=grants))
    given = await house.signed_in(site.url)
    assert "refresh_token" not in given
    for grant_type in grants[1:]:
        form = {"grant_type": grant_type, "client_id": site.url, "auth_req_id": "x"}
        refused(await house.token(form), "unauthorized_client")


@pytest.mark.parametrize(
    ("answer", "headers", "status"),
    [
        (b"[]", (), "200 OK"),
        (b"{", (), "200 OK"),
        (b"", (), "204 No Content"),
        (b"{}", (), "404 Not Found"),
        (b"{}", ("content-type: text/html",), "200 OK"),
        (b"{}", ("location: http://127.0.0.1:1/x",), "302 Found"),
        (b'{"x":"' + b"x" * 20_000 + b'"}', (), "200 OK"),
        (b"\x1f\x8b" + b"\x00" * 100, ("content-encoding: gzip",), "200 OK"),
    ],
)
async def test_an_answer_that_is_no_document_opens_nothing(
    house: HostHouse, site: Site, answer: bytes, headers: Sequence[str], status: str
) -> None:
    site.serve(answer, *headers, status=status)
    page = await (await house.person()).ask(query(site.url))
    assert page.status_code == 400
    assert len(site.hits) == 1


async def test_a_document_that_holds_but_never_ends_opens_nothing(
    house: HostHouse, site: Site
) -> None:
    site.serve(site.document(padding="x" * 17_000))
    page = await (await house.person()).ask(query(site.url))
    assert page.status_code == 400
    assert "too large" in page.text


async def test_a_redirect_is_not_followed(house: HostHouse, site: Site) -> None:
    async with a_site() as other:
        site.serve(b"", f"location: {other.url}", status="302 Found")
        page = await (await house.person()).ask(query(site.url))
        assert page.status_code == 400
        assert other.hits == []


async def test_a_site_that_never_answers_is_not_waited_for(
    database: Database, sealer: Sealer, site: Site
) -> None:
    site.silent = True
    documents = {"loopback": True, "deadline_s": 0.1}
    async with host_house(database, sealer, documents=documents) as house:
        page = await (await house.person()).ask(query(site.url))
    assert page.status_code == 400
    assert "in time" in page.text


async def test_a_failure_is_remembered_for_a_while(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    alice = await house.person()
    site.serve(b"{}")
    for _ in range(3):
        assert (await alice.ask(query(site.url))).status_code == 400
    assert len(site.hits) == 1
    site.serve(site.document())
    clock.turn(31)
    assert (await alice.ask(query(site.url))).status_code == 200


@pytest.mark.parametrize(
    ("cache_control", "life_s"),
    [
        ("max-age=600", 600),
        ("public, max-age=1", 300),
        ("no-store", 3600),
        ("max-age=99999999", 86_400),
        ("max-age=-1", 3600),
    ],
)
async def test_a_document_is_believed_for_a_bounded_while(
    house: HostHouse, site: Site, clock: TurnedClock, cache_control: str, life_s: int
) -> None:
    alice = await house.person()
    site.serve(site.document(), f"cache-control: {cache_control}")
    await alice.ask(query(site.url))
    clock.turn(life_s - 1)
    await alice.ask(query(site.url))
    assert len(site.hits) == 1
    site.serve(site.document(redirect_uris=["https://tools.example/cb"]))
    clock.turn(1)
    assert (await alice.ask(query(site.url))).status_code == 400  # the old URI is gone
    assert len(site.hits) == 2


async def test_a_document_that_went_away_is_not_believed_any_longer(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    alice = await house.person()
    assert (await alice.ask(query(site.url))).status_code == 200
    site.serve(b"", status="410 Gone")
    clock.turn(3600)
    assert (await alice.ask(query(site.url))).status_code == 400


async def test_a_host_switched_off_by_its_address_opens_nothing(
    house: HostHouse, site: Site
) -> None:
    given = await house.signed_in(site.url)
    await house.people.disable(site.url, by="operator")
    assert (await (await house.person()).ask(query(site.url))).status_code == 400
    refused(await house.refresh(given["refresh_token"], site.url), "invalid_client", status=401)


@pytest.mark.parametrize(
    "client_id",
    [
        "http://tools.example/client.json",
        "https://tools.example",
        "https://tools.example/",
        "https://tools.example/a/../client.json",
        "https://tools.example/./client.json",
        "https://tools.example/client.json?x=1",
        "https://tools.example/client.json#x",
        "https://user@tools.example/client.json",
        "https://Tools.example/client.json",
        "https://tools.example:x/client.json",
        "https://[::1]/client.json",
        "https://tools.example\\@127.0.0.1/client.json",
        "https://tools.example/" + "x" * 300,
        "file:///etc/passwd",
    ],
)
async def test_an_address_that_is_no_client_id_is_not_fetched(
    database: Database, sealer: Sealer, client_id: str
) -> None:
    asked: list[str] = []
    async with host_house(
        database, sealer, documents={"guard": Guard(resolve=_resolving("127.0.0.1", asked=asked))}
    ) as house:
        page = await (await house.person()).ask(query(client_id))
        assert page.status_code == 400
    assert asked == []


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.0.0.1",),
        ("169.254.169.254",),
        ("192.168.1.1",),
        ("100.64.0.1",),
        ("0.0.0.0",),  # noqa: S104 — an address to be refused
        ("224.0.0.1",),
        ("::1",),
        ("::ffff:127.0.0.1",),
        ("::ffff:169.254.169.254",),
        ("64:ff9b::7f00:1",),
        ("fe80::1",),
        ("fd00::1",),
        ("8.8.8.8", "127.0.0.1"),
    ],
)
async def test_no_name_leads_to_a_private_address(
    database: Database, sealer: Sealer, site: Site, addresses: tuple[str, ...]
) -> None:
    port = site.url.rsplit(":", 1)[1].split("/")[0]
    asked: list[str] = []
    guard = Guard(resolve=_resolving(*addresses, asked=asked))
    async with host_house(database, sealer, documents={"guard": guard}) as house:
        page = await (await house.person()).ask(query(f"https://tools.example:{port}/client.json"))
        assert page.status_code == 400
        assert "private address" in page.text
    assert asked == ["tools.example"]
    assert site.hits == []


async def test_loopback_is_refused_unless_development_says_so(
    database: Database, sealer: Sealer, site: Site
) -> None:
    async with host_house(database, sealer) as house:
        assert (await (await house.person()).ask(query(site.url))).status_code == 400
    assert site.hits == []


async def test_documents_can_be_switched_off(
    database: Database, sealer: Sealer, site: Site
) -> None:
    async with host_house(
        database, sealer, documents={"loopback": True}, client_documents=False
    ) as house:
        assert (await (await house.person()).ask(query(site.url))).status_code == 400
        told = (await house.http.get("/.well-known/oauth-authorization-server")).json()
        assert told["client_id_metadata_document_supported"] is False
    assert site.hits == []


# --- TLS ------------------------------------------------------------------------------------


async def test_the_certificate_must_be_the_names_though_the_address_is_pinned(
    database: Database, sealer: Sealer, tmp_path: Path
) -> None:
    """A resolver that leads somewhere else leads to a certificate of somebody else."""
    server_tls, client_tls = _certificate(tmp_path, "tools.example")
    guard = Guard(("127.0.0.0/8",), resolve=_resolving("127.0.0.1"))
    async with (
        a_site(server_tls, "tools.example") as site,
        host_house(database, sealer, documents={"guard": guard, "tls": client_tls}) as house,
    ):
        alice = await house.person()
        assert (await alice.ask(query(site.url))).status_code == 200
        wrong = site.url.replace("tools.example", "bank.example")
        assert (await alice.ask(query(wrong))).status_code == 400
        assert len(site.hits) == 1


async def test_a_certificate_nobody_vouches_for_is_refused(
    database: Database, sealer: Sealer, tmp_path: Path
) -> None:
    server_tls, _ = _certificate(tmp_path, "tools.example")
    guard = Guard(("127.0.0.0/8",), resolve=_resolving("127.0.0.1"))
    async with (
        a_site(server_tls, "tools.example") as site,
        host_house(database, sealer, documents={"guard": guard}) as house,
    ):
        assert (await (await house.person()).ask(query(site.url))).status_code == 400
        assert site.hits == []


def _resolving(
    *addresses: str, asked: list[str] | None = None
) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, port: int) -> list[str]:
        del port
        if asked is not None:
            asked.append(host)
        return list(addresses)

    return resolve


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509
        .CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path = folder / "server.pem"
    path.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.create_default_context(cadata=pem.decode())
    return server, client
