"""No secret and no control character reaches a log, however it is logged."""

import json
import logging
from collections.abc import Iterator

import pytest
from mcp.client import streamable_http

from signoff.telemetry import LogFormat, configure, quiet_client, redact

CANARY = "CANARYs3cr3tv4lu3CANARY"
JWT = f"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ{CANARY}.{CANARY}_-sig"


@pytest.mark.seed("T70")
@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization: bearer   {CANARY}",
        f"Authorization: Basic {CANARY}==",
        f"Authorization: DPoP {CANARY}",
        f"{{'authorization': 'Bearer {CANARY}'}}",
        f"{{'Authorization': 'Basic {CANARY}=='}}",
        f"[(b'authorization', b'Bearer {CANARY}')]",
        f"token {JWT} end",
        f"'{JWT}'",
        f"https://x.example/cb?code={CANARY}&state=1",
        f"grant_type=x&auth_req_id={CANARY}&client_secret={CANARY}",
        f"client_assertion={CANARY}",
        f"access_token={CANARY} refresh_token={CANARY} id_token={CANARY}",
        f"password={CANARY}",
        f"csrf={CANARY}&proof={CANARY}",
        f"GET /login/{CANARY} HTTP/1.1",
        f"POST http://localhost:8420/login/{CANARY}?x=1",
        f'{{"access_token": "{CANARY}", "id_token":"{CANARY}"}}',
        f'{{"client_secret":"{CANARY}"}}',
        f"{{'auth_req_id': '{CANARY}'}}",
        f'{{"password" : "{CANARY}"}}',
        f"Cookie: __Host-signoff={CANARY}; other=1",
        f"set-cookie: signoff_8420={CANARY}; HttpOnly",
        f"https://user:{CANARY}@host.example/path",
        f"postgresql://signoff:{CANARY}@db/signoff",
        f"X-Api-Key: {CANARY}",
    ],
)
def test_a_credential_is_masked_wherever_it_stands(text: str) -> None:
    assert CANARY not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "plain words stay",
        "status code 404",
        "code: 3",
        "bearer of news",
        "a basic problem",
        "http://localhost:8420/approvals/apr_0123456789abcdefABCDEF",
        "call call_0123456789abcdefABCDEF is waiting",
        "sha-256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "user alice@example.com",
        "a\tb",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x07", "\x08", "\x0b", "\x1b", "\r", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066"],
)
def test_a_control_character_is_shown_not_sent(character: str) -> None:
    assert redact(f"a{character}b") == f"a\\u{ord(character):04x}b"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False


def log_everything() -> None:
    log = logging.getLogger("signoff.test")
    log.info("argument %s", f"Bearer {CANARY}")
    log.info("in the text access_token=" + CANARY)  # noqa: G003 — as a careless call site does
    log.info("members %s", {"client_secret": CANARY})
    log.info("forged\n10:00:00 error  signoff: all is lost")
    error = ValueError(f"cannot use {JWT}")
    log.error("failed with auth_req_id=%s", CANARY, exc_info=error)


@pytest.mark.seed("T70")
@pytest.mark.parametrize("style", ["text", "json"])
def test_no_record_holds_a_secret(capsys: pytest.CaptureFixture[str], style: LogFormat) -> None:
    configure(style=style)
    log_everything()

    written = capsys.readouterr().err
    assert CANARY not in written
    assert "argument Bearer ***" in written
    assert "ValueError: cannot use eyJ***" in written


def test_each_json_record_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(style="json")
    log_everything()

    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(records) == 5
    assert [record["level"] for record in records] == ["info"] * 4 + ["error"]
    assert "exception" in records[-1]


def test_a_value_cannot_forge_a_line_of_the_text_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    logging.getLogger("signoff.test").info("value %s", "x\n10:00:00 error  signoff: all is lost")

    lines = capsys.readouterr().err.splitlines()
    assert not any(line.startswith("10:00:00 error") for line in lines)


def test_configuring_twice_writes_each_record_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    configure()
    logging.getLogger("signoff.test").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_the_http_clients_do_not_log_urls(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="DEBUG")
    for name in ("httpx2", "httpcore2", "mcp"):
        logging.getLogger(name).info("GET https://x.example/?key=%s", CANARY)
    logging.getLogger("uvicorn.access").info("GET /login/%s", CANARY)
    assert capsys.readouterr().err == ""


def test_the_sdks_client_writes_nothing_over_what_a_caller_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("client", "mcp.client"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
    configure()
    quiet_client()
    leaving = ValueError("an event came as its caller left")
    logging.getLogger(streamable_http.__name__).error("Error parsing", exc_info=leaving)
    logging.getLogger("client").warning("Tool x not listed by server")
    logging.getLogger("signoff.client").warning("ours is told")
    assert capsys.readouterr().err.count("\n") == 1
