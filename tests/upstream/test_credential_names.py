"""No spelling of a credential's name is an argument's: servers read many spellings as one."""

from typing import Any

import pytest

from signoff.catalog.model import Credential, ToolSpec
from signoff.catalog.wire import Parameter, Security, SecurityScheme
from signoff.upstream.credentials import with_cookies
from signoff.upstream.headers import parsed, read_as
from signoff.upstream.request import RequestError
from upstream_parts import frozen, parameter, tool, upstream


def sent(carrier: Any, argument: Parameter, value: Any) -> str:
    scheme = SecurityScheme(name="main", kind="api_key", carrier=carrier, key="api_key")
    credential = Credential(scheme=scheme, kind="value", value=parsed("${env:BANK_TOKEN}"))
    spec: ToolSpec = tool("/x", parameters=[argument], security=Security(credentials=("main",)))
    return frozen(spec, {"a": value}, to=upstream(credentials={"main": credential})).url


SPELLINGS = [
    "api_key", "API_KEY", "Api_Key", "api_key[]", "api_key[0]", "api_key[x][y]", "[api_key]",
    "[api_key", "api.key", "api key", " api_key", "api_key ", "api_key]", "API.KEY[]",
]  # fmt: skip


@pytest.mark.parametrize("carrier", ["query", "cookie"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_no_key_of_an_open_object_is_the_credential(carrier: Any, name: str) -> None:
    with pytest.raises(RequestError, match=r"^a: may not set the"):
        sent(carrier, parameter("a", carrier), {name: "mine"})


@pytest.mark.parametrize("name", SPELLINGS)
def test_no_declared_parameter_is_the_credential(name: str) -> None:
    with pytest.raises(RequestError, match=r"^a: may not set the"):
        sent("query", parameter("a", "query", name=name), "mine")


@pytest.mark.parametrize(
    ("style", "value"), [("deepObject", {"x": "y"}), ("form", {"x": "y"}), ("form", ["x"])]
)
def test_no_object_or_list_by_the_credentials_name_is_it(style: str, value: Any) -> None:
    argument = parameter("a", "query", name="api_key", style=style, explode=False)
    with pytest.raises(RequestError, match=r"^a: may not set the"):
        sent("query", argument, value)


@pytest.mark.parametrize("name", ["key", "api", "my_api_key", "api_keys", "filter[api_key]"])
def test_what_only_looks_alike_is_sent(name: str) -> None:
    assert sent("query", parameter("a", "query", name=name), "mine").endswith("=mine")


@pytest.mark.parametrize(
    ("name", "read"),
    [("a%5B%5D", "a"), ("A.b", "a_b"), ("%20sid", "sid"), ("[k]", "k"), ("", ""), ("[]", "")],
)
def test_a_name_is_read_as_servers_do(name: str, read: str) -> None:
    assert read_as(name) == read


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("sid", "s%3Aab.c/d+e==", "sid=s%3Aab.c/d+e=="),
        ("__Host-id", "a!#$&'()*|~", "__Host-id=a!#$&'()*|~"),
        ("sid", "a; b=c", "sid=a%3B%20b=c"),
        ("sid", 'a,"b\\', "sid=a%2C%22b%5C"),
        ("sid", "a\r\nX: y\x00", "sid=a%0D%0AX:%20y%00"),
        ("s=i;d", "v", "s%3Di%3Bd=v"),
    ],
)
def test_a_cookie_goes_as_the_operator_has_it_and_adds_no_other(
    name: str, value: str, written: str
) -> None:
    assert with_cookies(None, {name: value}) == written
    assert with_cookies("theme=dark", {name: value}) == f"theme=dark; {written}"
