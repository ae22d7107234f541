"""Where an operation goes: never to a host that only a spec chose."""

import json

import pytest

from signoff.canonical import Json
from signoff.catalog.openapi.compiler import Index, Target
from signoff.catalog.openapi.documents import Document, MappingError
from signoff.catalog.openapi.servers import Places, origin_of, root_urls
from signoff.catalog.wire import Server

BASE = "https://api.example/v1"


def planned(
    servers: Json,
    *,
    root: Json = None,
    path_level: bool = False,
    base_url: str = BASE,
    variables: dict[str, str] | None = None,
    allowed: dict[str, bool] | None = None,
) -> Server | None:
    operation: dict[str, Json] = {"responses": {}}
    item: dict[str, Json] = {"get": operation}
    (item if path_level else operation)["servers"] = servers
    spec: Json = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "servers": root or [],
        "paths": {"/a": item},
    }
    document = Document(json.dumps(spec).encode(), name="s")
    places = Places(base_url=base_url, variables=variables or {}, allowed=allowed or {})
    index = Index(document, Target(upstream="u", places=places))
    return index.tool(index.offered[0]).server


def refused(servers: Json, *, base_url: str = BASE, variables: dict[str, str] | None = None) -> str:
    with pytest.raises(MappingError) as caught:
        planned(servers, base_url=base_url, variables=variables)
    return caught.value.message


def one(url: str, **variables: Json) -> Json:
    return [{"url": url, "variables": variables}]


@pytest.mark.parametrize("path_level", [True, False])
def test_a_listed_origin_is_gone_to_without_credentials(path_level: bool) -> None:
    url = "https://upload.example/api"
    allowed = {"https://upload.example:443": False}

    assert planned(one(url), path_level=path_level, allowed=allowed) == Server(
        url=url, credentials=False
    )


def test_credentials_go_only_where_the_operator_says() -> None:
    allowed = {"https://upload.example:443": True}

    found = planned(one("https://UPLOAD.example/"), allowed=allowed)

    assert found == Server(url="https://UPLOAD.example", credentials=True)


def test_a_server_that_carries_credentials_is_refused_even_where_it_is_listed() -> None:
    with pytest.raises(MappingError):
        planned(one("https://me:pw@a.example"), allowed={"https://a.example:443": True})


def test_an_operations_servers_win_over_its_paths() -> None:
    spec: Json = {
        "openapi": "3.0.0",
        "paths": {
            "/a": {
                "servers": [{"url": "/path"}],
                "get": {"servers": [{"url": "/own"}], "responses": {}},
                "put": {"responses": {}},
            }
        },
    }
    document = Document(json.dumps(spec).encode(), name="s")
    index = Index(document, Target(upstream="u", places=Places(base_url=BASE)))
    got = [index.tool(each).server for each in index.offered]

    assert got == [Server(url="/own", credentials=True), Server(url="/path", credentials=True)]


@pytest.mark.parametrize("url", ["https://api.example/v2", "https://API.example:443/v2/", "/v2"])
def test_a_server_on_the_upstreams_own_origin_is_a_path_there(url: str) -> None:
    assert planned(one(url)) == Server(url="/v2", credentials=True)


def test_the_specs_own_host_moves_with_base_url() -> None:
    root = one("https://prod.example/v1")

    found = planned(one("https://prod.example/upload"), root=root, base_url="http://localhost:9/v1")

    assert found == Server(url="/upload", credentials=True)


@pytest.mark.parametrize("url", [BASE, "/v1", "/v1/"])
def test_a_server_that_is_base_url_is_none(url: str) -> None:
    assert planned(one(url)) is None


def test_a_python_app_takes_paths_only() -> None:
    assert planned(one("/v2"), base_url="app:a:b") == Server(url="/v2", credentials=True)
    assert "allow_servers" in refused(one("http://a/v2"), base_url="app:a:b")


@pytest.mark.seed("T61")
@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "https://api.example.evil.example/",
        "https://api.example@evil.example/",
        "https://evil.example/https://api.example/",
        "http://api.example/v1",
        "https://api.example:8443/v1",
        "//evil.example/v1",
        "https://api.example\\@evil.example/",
        "https://api.examp1e/",
        "https://\u0430pi.example/",
        "file:///etc/passwd",
        "gopher://api.example/",
        "https://api.example/v1?x=1",
        "https://api.example/v1#x",
        "https://api.example:0/",
        "https://me:pw@api.example/v2",
        "https://api.example/a/../../admin",
        "/a/../../admin",
        "/a b",
    ],
)
def test_a_server_that_nobody_listed_is_refused(url: str) -> None:
    assert refused(one(url)) == f'its server "{url}" is not listed under allow_servers'


def test_the_first_server_that_is_allowed_is_taken() -> None:
    servers: Json = [{"url": "https://other.example"}, {"url": "/v3"}]

    assert planned(servers) == Server(url="/v3", credentials=True)


def test_variables_come_from_the_catalogue_else_from_their_default() -> None:
    region: Json = {"default": "us", "enum": ["us", "eu"]}
    url = "https://{region}.up.example/{base}"
    allowed = {"https://us.up.example:443": False, "https://eu.up.example:443": False}

    by_default = planned(one(url, region=region, base={"default": "x"}), allowed=allowed)
    chosen = planned(
        one(url, region=region, base={"default": "x"}), variables={"region": "eu"}, allowed=allowed
    )

    assert by_default == Server(url="https://us.up.example/x")
    assert chosen == Server(url="https://eu.up.example/x")


def test_a_variable_outside_its_list_or_without_a_value_is_refused() -> None:
    region: Json = {"default": "us", "enum": ["us"]}

    assert refused(one("/{region}", region=region), variables={"region": "../x"}) == (
        'the server variable "region" is none of us'
    )
    assert refused(one("/{region}")) == 'its server needs the variable "region"'


def test_a_variable_cannot_choose_the_host() -> None:
    url = "https://{host}/v1"

    assert "allow_servers" in refused(one(url, host={"default": "169.254.169.254"}))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://A.example/x", "https://a.example:443"),
        ("https://a.example./x", "https://a.example:443"),
        ("http://a.example:8080", "http://a.example:8080"),
        ("http://[::1]:1/", "http://::1:1"),
        ("https://a.example:99999/", None),
        ("https:///x", None),
        ("a.example", None),
        ("https://a.example/{x}", None),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


def test_broken_root_servers_are_left_out() -> None:
    spec: Json = {"openapi": "3.0.0", "servers": [{}, {"url": "{a}"}, {"url": "https://x"}, 5]}

    assert root_urls(Document(json.dumps(spec).encode(), name="s"), Places()) == ["https://x"]
