"""`credentials`: four shapes, each with a place to go, and never a secret in the file."""

import pytest

from signoff.catalog.loader import Broken, Loaded, parse
from signoff.catalog.model import ClientCertificate, Credential, Reference, Text
from signoff.catalog.wire import SchemeUse, SecurityScheme

SPEC = b"""\
openapi: 3.0.0
paths: {/a: {get: {operationId: a, security: [{key: []}, {basic: []}, {oauth: []}, {cert: []}],
  responses: {}}}}
components:
  securitySchemes:
    key: {type: apiKey, in: query, name: api_key}
    basic: {type: http, scheme: basic}
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: https://as.example/token}}}
    cert: {type: mutualTLS}
"""


def result(credentials: str, more: str = "") -> Loaded | Broken:
    text = (
        "signoff: 1\nupstreams:\n  up:\n    openapi: spec.yaml\n"
        f"    base_url: https://api.example\n{more}    credentials:\n      {credentials}\n"
        "users: [{id: alice}]\n"
    )
    return parse(text.encode(), file="c.yaml", read_spec=lambda name: (name, SPEC))


def credential(text: str, name: str, more: str = "") -> Credential:
    found = result(text, more)
    assert isinstance(found, Loaded), [str(one) for one in found.problems]
    return found.catalogue.upstreams["up"].credentials[name]


def env(name: str) -> Reference:
    return Reference(kind="env", name=name)


KEY = SecurityScheme(name="key", kind="api_key", carrier="query", key="api_key")
OAUTH = SecurityScheme(name="oauth", kind="oauth2", token_url="https://as.example/token")


def test_a_key_is_a_reference() -> None:
    assert credential("key: '${env:K}'", "key") == Credential(
        scheme=KEY, kind="value", value=(env("K"),)
    )


def test_a_user_and_a_password_are_basic() -> None:
    assert credential("basic: {username: me, password: '${file:pw}'}", "basic") == Credential(
        scheme=SecurityScheme(name="basic", kind="basic"),
        kind="basic",
        username=(Text(text="me"),),
        password=(Reference(kind="file", name="pw"),),
    )


def test_a_client_fetches_its_own_token() -> None:
    text = (
        "oauth: {client_id: me, client_secret: '${env:S}', token_url: 'https://as.example/token', "
        "scopes: [a, b], audience: api}"
    )
    assert credential(text, "oauth") == Credential(
        scheme=OAUTH,
        kind="client_credentials",
        client_id=(Text(text="me"),),
        client_secret=(env("S"),),
        token_url="https://as.example/token",
        scopes=("a", "b"),
        audience="api",
    )


def test_a_client_says_how_it_shows_itself() -> None:
    text = (
        "oauth: {client_id: me, client_secret: '${env:S}', token_url: 'https://as.example/token', "
        "token_endpoint_auth_method: client_secret_post}"
    )

    assert credential(text, "oauth").token_endpoint_auth_method == "client_secret_post"


def test_a_hook_is_a_function() -> None:
    assert credential("oauth: {hook: 'my.keys:fetch'}", "oauth") == Credential(
        scheme=OAUTH, kind="hook", hook="my.keys:fetch"
    )


def test_a_credential_may_say_itself_where_it_goes() -> None:
    made = credential("mine: {in: header, name: X-Api-Key, value: '${env:K}'}", "mine")

    assert made.scheme == SecurityScheme(
        name="mine", kind="api_key", carrier="header", key="X-Api-Key"
    )


def test_an_operation_gets_the_credential_that_its_spec_wants() -> None:
    found = result("key: '${env:K}'\n      mine: {in: cookie, name: sid, value: '${env:C}'}")
    assert isinstance(found, Loaded)

    assert found.catalogue.tools[0].security.credentials == ("key", "mine")


def test_the_approval_token_needs_an_audience() -> None:
    assert credential(
        "oauth: '${approval.token}'", "oauth", more="    audience: https://api.example\n"
    ).value == (Reference(kind="approval", name="token"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key: sk_live_1234567890123", "a secret may not stand in the catalogue"),
        ("key: plain", "a secret may not stand in the catalogue"),
        ("key: 'Bearer sk_live_1234567890123${env:K}'", "a secret may not stand in the catalogue"),
        ("key: '${env:K'", '"${" begins a reference that is not closed'),
        ("key: '${nothing.here}'", "is not a reference"),
        ("key: 5", "must be text, not the number 5"),
        ("ky: '${env:K}'", 'the spec has no security scheme "ky", did you mean "key"?'),
        ("zz: '${env:K}'", "say where it goes: {in: header, name: …}"),
        ("cert: '${env:K}'", "is a client certificate: give it as upstreams.up.client_certificate"),
        ("basic: '${env:K}'", "is basic: give it {username: …, password: …}"),
        ("basic: {username: a}", "credentials.basic.password: is needed"),
        ("key: {username: a, password: '${env:P}'}", "the scheme is api_key, not basic"),
        ("basic: {username: a, password: b}", "a secret may not stand in the catalogue"),
        ("oauth: {client_id: a}", "credentials.oauth.client_secret: is needed"),
        (
            "oauth: {client_id: a, client_secret: '${env:S}'}",
            "a spec chooses no host; the spec says https://as.example/token",
        ),
        (
            "oauth: {client_id: a, client_secret: '${env:S}', token_url: 'http://as.example/t'}",
            "must be https://…, or http:// on this machine",
        ),
        (
            (
                "oauth: {client_id: a, client_secret: '${env:S}', "
                "token_url: 'https://as.example/t', token_endpoint_auth_method: none}"
            ),
            "must be one of client_secret_basic, client_secret_post",
        ),
        (
            "key: {value: '${env:K}', token_endpoint_auth_method: client_secret_post}",
            "credentials.key.token_endpoint_auth_method: unknown key",
        ),
        ("oauth: {hook: 'os.system'}", 'a Python function is written "package.module:function"'),
        ("oauth: {}", "value: is needed, or hook, client_id, or username and password"),
        ("key: {value: '${env:K}', extra: 1}", "credentials.key.extra: unknown key"),
        ("m: {in: header, name: Host, value: '${env:K}'}", "signoff sets this header itself"),
        ("m: {in: header, name: 'a b', value: '${env:K}'}", "is not a header name"),
        ("m: {in: body, name: a, value: '${env:K}'}", "must be one of header, query, cookie"),
        ("m: {name: a, value: '${env:K}'}", "of what? add in: header, query or cookie"),
        ("oauth: '${approval.token}'", "${approval.token} needs upstreams.up.audience"),
    ],
)
def test_what_cannot_work_is_a_problem(text: str, message: str) -> None:
    found = result(text)

    assert isinstance(found, Broken)
    assert any(message in str(one) for one in found.problems), [str(one) for one in found.problems]


def test_a_capability_written_by_hand_gets_what_always_goes() -> None:
    text = """\
signoff: 1
upstreams:
  ci:
    base_url: https://ci.example
    credentials: {mine: {in: header, name: X-Key, value: "${env:K}"}}
capabilities:
  - {name: status, description: Shows it., upstream: ci, request: {method: GET, path: /s}}
users: [{id: alice}]
"""
    found = parse(text.encode(), file="c.yaml", read_spec=lambda name: (name, b""))
    assert isinstance(found, Loaded)

    assert found.catalogue.tools[0].security.credentials == ("mine",)


def test_a_client_certificate_is_files_and_goes_with_the_upstream() -> None:
    more = (
        "    client_certificate: {cert: '${file:me.pem}', key: '${file:me.key}', "
        "password: '${env:PW}', ca: '${file:ca.pem}'}\n"
    )
    found = result("{}", more)
    assert isinstance(found, Loaded), [str(one) for one in found.problems]
    upstream = found.catalogue.upstreams["up"]
    assert upstream.client_certificate == ClientCertificate(
        cert=(Reference(kind="file", name="me.pem"),),
        key=(Reference(kind="file", name="me.key"),),
        password=(env("PW"),),
        ca=(Reference(kind="file", name="ca.pem"),),
    )
    [tool] = found.catalogue.tools
    assert tool.security.missing == ()
    assert tool.security.credentials == ()


def test_without_one_what_needs_it_is_missing() -> None:
    only = SPEC.replace(b"security: [{key: []}, {basic: []}, {oauth: []}, {cert: []}]",
                        b"security: [{cert: []}]")  # fmt: skip
    text = (
        "signoff: 1\nupstreams:\n  up:\n    openapi: spec.yaml\n"
        "    base_url: https://api.example\n    credentials: {}\nusers: [{id: alice}]\n"
    )
    found = parse(text.encode(), file="c.yaml", read_spec=lambda name: (name, only))
    assert isinstance(found, Loaded), [str(one) for one in found.problems]
    [tool] = found.catalogue.tools
    assert tool.security.missing == (SchemeUse(scheme="cert"),)


PLACED = b"""\
openapi: 3.0.0
paths: {/a: {get: {operationId: a, security: [{s: []}], responses: {}}}}
components: {securitySchemes: {s: SCHEME}}
"""


@pytest.mark.parametrize(
    ("scheme", "headers", "message"),
    [
        ("{type: apiKey, in: header, name: Host}", "", "'Host', which signoff sets this header"),
        ("{type: apiKey, in: header, name: content_length}", "", "which signoff sets this header"),
        ("{type: apiKey, in: header, name: Transfer-Encoding}", "", "which signoff sets this"),
        ("{type: apiKey, in: header, name: 'X Y'}", "", "'X Y', which is not a header name"),
        ('{type: apiKey, in: header, name: "X\\r\\nY"}', "", "which is not a header name"),
        ("{type: apiKey, in: header, name: Cookie}", "", "a scheme with in: cookie adds one"),
        ("{type: apiKey, in: header, name: X-Key}", "x_key: a", "headers already set X-Key"),
        ("{type: http, scheme: bearer}", "AUTHORIZATION: '${env:B}'", "already set Authorization"),
        ("{type: oauth2}", "authorization: '${env:B}'", "already set Authorization"),
        ("{type: apiKey, in: query, name: Host}", "", None),
        ("{type: apiKey, in: header, name: X-Key}", "X-Other: a", None),
        ("{type: apiKey, in: header, name: Authorization}", "", None),
    ],
)
def test_a_credential_that_has_no_place_in_a_request_does_not_check(
    scheme: str, headers: str, message: str | None
) -> None:
    text = (
        "signoff: 1\nupstreams:\n  up:\n    openapi: s\n    base_url: https://api.example\n"
        f"    headers: {{{headers}}}\n    credentials:\n      s: '${{env:K}}'\n"
        "users: [{id: alice}]\n"
    )
    spec = PLACED.replace(b"SCHEME", scheme.encode())
    found = parse(text.encode(), file="c", read_spec=lambda name: (name, spec))
    if message is None:
        assert isinstance(found, Loaded)
        return
    assert isinstance(found, Broken)
    [problem] = found.problems
    assert problem.message.startswith("upstreams.up.credentials.s: ")
    assert message in problem.message
    assert (problem.line, problem.column) == (8, 7)
