"""What an operation wants to be called with, and what of the catalogue meets it."""

import json

from signoff.canonical import Json
from signoff.catalog.openapi.compiler import Index, Target
from signoff.catalog.openapi.documents import Document
from signoff.catalog.openapi.security import Given, schemes_of
from signoff.catalog.wire import SchemeUse, Security, SecurityScheme

SCHEMES: Json = {
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
    "basic": {"type": "http", "scheme": "Basic"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "oauth": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://as/token"}}},
    "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://as"},
    "mtls": {"type": "mutualTLS"},
    "odd": {"type": "smoke"},
    "dangling": {"$ref": "#/nowhere"},
}
KEY, OAUTH = SchemeUse(scheme="key"), SchemeUse(scheme="oauth", scopes=("read", "write"))


def spec(security: Json, root: Json = None) -> Document:
    operation: dict[str, Json] = {"responses": {}}
    if security is not None:
        operation["security"] = security
    whole: dict[str, Json] = {
        "openapi": "3.1.0",
        "paths": {"/a": {"get": operation}},
        "components": {"securitySchemes": SCHEMES},
    }
    if root is not None:
        whole["security"] = root
    return Document(json.dumps(whole).encode(), name="s")


def planned(security: Json, *names: str, root: Json = None, given: Given | None = None) -> Security:
    has = given or Given(credentials=frozenset(names))
    index = Index(spec(security, root), Target(upstream="u", given=has))
    return index.tool(index.offered[0]).security


def test_schemes_say_where_a_credential_goes() -> None:
    assert schemes_of(spec(None)) == {
        "key": SecurityScheme(name="key", kind="api_key", carrier="header", key="X-Key"),
        "cookie": SecurityScheme(name="cookie", kind="api_key", carrier="cookie", key="sid"),
        "basic": SecurityScheme(name="basic", kind="basic"),
        "bearer": SecurityScheme(name="bearer", kind="bearer"),
        "oauth": SecurityScheme(name="oauth", kind="oauth2", token_url="https://as/token"),
        "oidc": SecurityScheme(name="oidc", kind="openid_connect"),
        "mtls": SecurityScheme(name="mtls", kind="mutual_tls"),
    }


def test_the_first_requirement_that_can_be_met_is_met() -> None:
    either: Json = [{"oauth": ["read", "write"]}, {"key": []}]

    assert planned(either, "key").credentials == ("key",)
    assert planned(either, "oauth", "key").credentials == ("oauth",)
    assert planned(either, "key").alternatives == ((OAUTH,), (KEY,))


def test_all_of_a_requirement_is_needed() -> None:
    both: Json = [{"key": [], "oauth": ["read", "write"]}]

    assert planned(both, "key", "oauth").credentials == ("key", "oauth")
    assert planned(both, "key") == Security(
        alternatives=((KEY, OAUTH),), credentials=(), missing=(OAUTH,)
    )


def test_what_is_missing_is_that_of_the_first_requirement() -> None:
    either: Json = [{"oauth": ["read", "write"]}, {"key": []}]

    assert planned(either, "basic").missing == (OAUTH,)


def test_an_operations_own_words_win_even_when_they_are_none() -> None:
    assert planned([], "key", root=[{"key": []}]) == Security()
    assert planned(None, "key", root=[{"key": []}]).credentials == ("key",)


def test_anonymous_is_met_by_nothing_but_a_credential_is_better() -> None:
    optional: Json = [{}, {"key": []}]

    assert planned(optional, "key").credentials == ("key",)
    assert planned(optional, "basic") == Security(alternatives=((), (KEY,)))


def test_a_header_that_the_operator_sets_is_a_credential() -> None:
    given = Given(credentials=frozenset(), headers=frozenset({"authorization", "x-key"}))

    for name in ("key", "basic", "bearer", "oauth", "oidc"):
        assert planned([{name: []}], given=given).missing == ()
    for name in ("cookie", "mtls", "odd", "unheard-of"):
        assert planned([{name: []}], given=given).missing == (SchemeUse(scheme=name),)


def test_without_any_credentials_in_the_catalogue_nothing_is_missing() -> None:
    assert planned([{"key": []}], given=Given()) == Security(alternatives=((KEY,),))


def test_what_always_goes_goes_with_everything() -> None:
    given = Given(credentials=frozenset({"mine", "key"}), always=("mine",))

    assert planned([{"key": []}], given=given).credentials == ("key", "mine")
    assert planned([], given=given).credentials == ("mine",)
    assert planned([{"oauth": []}], given=given).credentials == ("mine",)


def test_a_client_certificate_meets_what_asks_for_one_and_nothing_else() -> None:
    shown = Given(credentials=frozenset({"key"}), certificate=True)

    assert planned([{"mtls": []}], given=shown).missing == ()
    assert planned([{"mtls": [], "key": []}], given=shown).credentials == ("key",)
    assert planned([{"mtls": [], "oauth": []}], given=shown).missing == (SchemeUse(scheme="oauth"),)
    for name in ("oauth", "cookie", "odd", "unheard-of"):
        assert planned([{name: []}], given=shown).missing == (SchemeUse(scheme=name),)
