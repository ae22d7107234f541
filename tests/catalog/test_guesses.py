"""What names say of a risk: only ever more than the method does, and with the word that said it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.catalog.guesses import Guess, guess
from signoff.catalog.model import Risk
from signoff.catalog.openapi.compiler import Index, Target
from signoff.catalog.openapi.documents import Document


def guessed(method: str, path: str, id_: str = "x", **members: Json) -> Guess | None:
    operation: dict[str, Json] = {"operationId": id_, "responses": {}, **members}
    spec: dict[str, Json] = {
        "openapi": "3.0.0",
        "info": {"title": "t", "version": "1"},
        "paths": {path: {method: operation}},
    }
    [indexed] = Index(Document(json.dumps(spec).encode(), name="s"), Target(upstream="u")).offered
    found = guess(indexed)
    assert found is None or found.is_raised == (indexed.card.risk is Risk.LOW)
    return found


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/api-keys", "key"),
        ("/apikeys", "apikey"),
        ("/users/{id}/userpasswords", "userpassword"),
        ("/vault/passphrase", "passphrase"),
        ("/clusters/{id}/credentials", "credential"),
        ("/pods/{name}/exec", "exec"),
        ("/pods/{name}/proxy", "proxy"),
        ("/pods/{name}/proxy/{path}", "proxy"),
        ("/jobs/{id}/run", "run"),
        ("/cache/flush", "flush"),
        ("/users/{id}/deactivate", "deactivate"),
        ("/account/reset_password", "password"),
        ("/apps.uninstall", "uninstall"),
        ("/orders/{id}:refund", "refund"),
        ("/droplets/{id}/destroyWithAll", "destroy"),
        ("/sms/send.json", "send"),
        ("/logout", "logout"),
    ],
)
def test_a_read_that_may_be_none_or_shows_a_secret_is_raised(path: str, word: str) -> None:
    found = guessed("get", path)

    assert found is not None
    assert (found.word, found.is_raised) == (word, True)


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/{id}/balance",
        "/messages/{id}",
        "/payments",
        "/orders/{order_id}",
        "/runs/{id}",
        "/run/{run_id}",
        "/merge_requests",
        "/start-date",
        "/keyboards",
        "/monkeys",
        "/tokenizers",
        "/users/{api_key}",
        "/{secret}",
        "/",
    ],
)
def test_a_plain_read_is_left_as_it_is(path: str) -> None:
    assert guessed("get", path) is None


@pytest.mark.parametrize(
    ("method", "path", "id_", "group"),
    [
        ("post", "/disbursements", "x", "money"),
        ("post", "/x", "topupWallet", "money"),
        ("post", "/donations", "x", "money"),
        ("post", "/broadcasts", "x", "e-mail"),
        ("post", "/x", "notifyEverybody", "e-mail"),
        ("post", "/tables/{id}/truncate", "x", "delete"),
        ("delete", "/notes/{id}", "x", "delete"),
        ("put", "/policies/{id}", "x", "admin"),
        ("post", "/x", "revokeAccess", "admin"),
        ("post", "/x", "go-live-launch", "publish"),
        ("post", "/rollouts", "x", "publish"),
    ],
)
def test_other_words_for_the_same_are_known(method: str, path: str, id_: str, group: str) -> None:
    found = guessed(method, path, id_)

    assert found is not None
    assert (found.group, found.is_raised) == (group, False)


def test_what_a_summary_explains_raises_nothing() -> None:
    words = "Deletes every secret, sends money and publishes your password"

    assert guessed("get", "/things", summary=words, description=words, tags=["admin"]) is None


@given(
    method=st.sampled_from(["get", "head", "post", "put", "patch", "delete"]),
    path=st.text(max_size=40).map(lambda text: "/" + text.replace("{", "").replace("}", "")),
    id_=st.text(max_size=40),
)
def test_no_name_lowers_a_risk_or_breaks_a_guess(method: str, path: str, id_: str) -> None:
    spec: dict[str, Json] = {
        "openapi": "3.0.0",
        "info": {"title": "t", "version": "1"},
        "paths": {path: {method: {"operationId": id_, "responses": {}}}},
    }
    document = Document(json.dumps(spec).encode("utf-8", "surrogatepass"), name="s")

    for indexed in Index(document, Target(upstream="u")).offered:
        found = guess(indexed)
        assert found is None or found.is_raised == (indexed.card.risk is Risk.LOW)
