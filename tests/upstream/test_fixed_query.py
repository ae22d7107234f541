"""A query that stands in the operation's own path goes first, and an argument only adds to it."""

import pytest

from upstream_parts import frozen, parameter, tool


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ({}, "https://bank.example/api/things?beta=true&x"),
        ({"q": "a&b=c"}, "https://bank.example/api/things?beta=true&x&q=a%26b%3Dc"),
    ],
)
def test_a_fixed_query_is_sent_with_every_call(arguments: dict[str, str], url: str) -> None:
    made = tool(query="beta=true&x", parameters=[parameter("q", "query")])

    assert frozen(made, arguments).url == url
