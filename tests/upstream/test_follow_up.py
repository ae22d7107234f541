"""A 202's address is recognised as one of the API's own reads, or it is nothing."""

from typing import Any

import pytest

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import Parameter, Server
from signoff.upstream.follow_up import FollowUp, follow_up
from signoff.upstream.sent import Answered
from upstream_parts import parameter, tool, upstream

BASE = "https://bank.example/api"
ASKED = f"{BASE}/jobs"


def shaped(
    name: str, path: str, *parameters: Parameter, method: str = "GET", **more: Any
) -> ToolSpec:
    types = more.pop("types", {})
    properties: dict[str, Json] = {
        one.argument: {"type": types.get(one.argument, "string")} for one in parameters
    }
    return ToolSpec(
        name=name,
        title=name,
        description="",
        upstream="bank",
        method=method,
        path=path,
        parameters=parameters,
        input_schema={"type": "object", "properties": properties},
        **more,
    )


JOB = shaped("get_job", "/jobs/{id}", parameter("id", "path"), types={"id": "integer"})
LATEST = shaped("latest_job", "/jobs/latest")
NAMED = shaped("named_job", "/by-name/{name}.json", parameter("name", "path"))
SEARCH = shaped(
    "search",
    "/search",
    parameter("job", "query", required=True),
    parameter("verbose", "query"),
    types={"verbose": "boolean"},
)
CHANGE = shaped("stop_job", "/stop/{id}", parameter("id", "path"), method="POST")
SECRET = shaped(
    "with_key", "/keys/{key}", parameter("key", "path"), secret_arguments=frozenset({"key"})
)
HEADED = shaped(
    "headed", "/headed/{id}", parameter("id", "path"), parameter("X-A", "header", required=True)
)
ELSEWHERE = shaped(
    "file", "/files/{id}", parameter("id", "path"), server=Server(url="https://files.example")
)
MOVED = shaped("old", "/old/{id}", parameter("id", "path"), server=Server(url="/v0"))
TWO = shaped("two", "/two/{a}{b}{c}{d}", *(parameter(name, "path") for name in "abcd"))
TOOLS = (JOB, LATEST, NAMED, SEARCH, CHANGE, SECRET, HEADED, ELSEWHERE, MOVED, TWO)


def found(location: str | None = None, value: Json = None) -> FollowUp | None:
    answered = Answered(status=202, headers=(), body=b"", location=location)
    return follow_up(TOOLS, upstream(BASE), answered, value, ASKED)


@pytest.mark.parametrize(
    ("location", "name", "arguments"),
    [
        (f"{BASE}/jobs/7", "get_job", {"id": 7}),
        ("HTTPS://BANK.example:443/api/jobs/7", "get_job", {"id": 7}),
        ("/api/jobs/7", "get_job", {"id": 7}),
        ("jobs/7", "get_job", {"id": 7}),
        ("//bank.example/api/jobs/7", "get_job", {"id": 7}),
        ("/api/jobs/latest", "latest_job", {}),
        ("/api/by-name/a%20b.c.json", "named_job", {"name": "a b.c"}),
        ("/api/search?job=x%2Fy", "search", {"job": "x/y"}),
        ("https://files.example/files/abc", "file", {"id": "abc"}),
        ("/v0/old/1", "old", {"id": "1"}),
    ],
)
def test_an_address_of_the_api_is_a_call_of_it(
    location: str, name: str, arguments: dict[str, Json]
) -> None:
    expected = FollowUp(tool=name, arguments=arguments)

    assert found(location) == expected
    assert found(None, {"status_url": location}) == expected
    assert found(None, {"statusUrl": location}) == expected


def test_the_body_counts_more_than_the_header() -> None:
    assert found("/api/jobs/1", {"status_url": "/api/jobs/2"}) == FollowUp(
        tool="get_job", arguments={"id": 2}
    )


@pytest.mark.seed("P19")
@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/api/jobs/7",
        "http://bank.example/api/jobs/7",
        "https://bank.example:8443/api/jobs/7",
        "https://bank.example.evil.example/api/jobs/7",
        "https://bank.example@evil.example/api/jobs/7",
        "https://user@bank.example/api/jobs/7",
        "https://bank.example/jobs/7",
        "https://bank.example/apijobs/7",
        "/api/jobs/7/secret",
        "/api/jobs/seven",
        "/api/jobs/7?token=abc",
        "/api/jobs/7#part",
        "/api/stop/7",
        "/api/two/abcd",
        "/api/two/" + "a" * 3_000 + "/x",
        "/api/keys/k-1",
        "/api/headed/1",
        "/api/search",
        "/api/search?job=1&job=2",
        "/api/search?job=1&verbose=true",
        "/api/search?job=1&other=2",
        "/api/search?job",
        "https://files.example/jobs/7",
        "https://bank.example/files/abc",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://[bad",
        "http://bank.example:99999/api/jobs/7",
        "",
        "/api/jobs/" + "7" * 5_000,
    ],
    ids=lambda text: text[:45] or "empty",
)
def test_any_other_address_leads_nowhere(location: str) -> None:
    assert found(location) is None
    assert found(None, {"status_url": location}) is None


@pytest.mark.parametrize("value", [None, [], "x", 5, {"status_url": 5}, {"status_url": None}, {}])
def test_an_answer_without_an_address_leads_nowhere(value: Json) -> None:
    assert found(None, value) is None


def test_a_tool_of_an_app_has_no_address() -> None:
    answered = Answered(status=202, headers=(), body=b"", location="http://bank/x")
    assert follow_up([tool("/x")], upstream("https://x.example"), answered, None, ASKED) is None
