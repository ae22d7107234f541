"""Two APIs, or one twice: tools of one name are told once, with what to do."""

import json

from signoff.catalog.loader import Broken, Loaded, parse


def problems_of(text: str, operations: int) -> list[str]:
    paths: dict[str, object] = {
        f"/{n}": {"get": {"operationId": f"get{n}", "responses": {}}} for n in range(operations)
    }
    spec = json.dumps({
        "openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": paths
    }).encode()  # fmt: skip
    result = parse(text.encode(), file="c", read_spec=lambda name: (name, spec))
    if isinstance(result, Loaded):
        return []
    assert isinstance(result, Broken)
    return [str(problem) for problem in result.problems]


TWICE = """\
signoff: 1
upstreams:
  live: {openapi: api.json, base_url: "https://live.example"}
  test: {openapi: api.json, base_url: "https://test.example"MORE}
users: [{id: alice}]
"""


def test_few_names_that_stand_twice_are_each_told_with_their_upstreams() -> None:
    assert problems_of(TWICE.replace("MORE", ""), 1) == [
        (
            'c:3:19: api.json#get0 (upstreams.live): the name "get0" is also that of api.json#get0 '
            "(upstreams.test); give one of them a name of its own, or set upstreams.live.prefix"
        ),
        (
            'c:4:19: api.json#get0 (upstreams.test): the name "get0" is also that of api.json#get0 '
            "(upstreams.live); give one of them a name of its own, or set upstreams.test.prefix"
        ),
    ]


def test_many_are_one_sentence_for_an_upstream() -> None:
    assert problems_of(TWICE.replace("MORE", ""), 1_500) == [
        (
            "c:3:19: upstreams.live: 1,500 tools are called like those of upstreams.test (get0, "
            "get1, get2, …): set upstreams.live.prefix, name them, as in "
            "upstreams.live.operations.get0.name, or expose fewer"
        ),
        (
            "c:4:19: upstreams.test: 1,500 tools are called like those of upstreams.live (get0, "
            "get1, get2, …): set upstreams.test.prefix, name them, as in "
            "upstreams.test.operations.get0.name, or expose fewer"
        ),
    ]


def test_another_name_is_enough() -> None:
    more = ", operations: {get0: {name: test_get0}}"

    assert problems_of(TWICE.replace("MORE", more), 1) == []


def test_a_prefix_is_enough() -> None:
    assert problems_of(TWICE.replace("MORE", ", prefix: test"), 1_500) == []


def test_a_prefix_that_two_upstreams_share_parts_nothing() -> None:
    both = TWICE.replace('.example"}', '.example", prefix: x}').replace("MORE", ", prefix: x")
    (first, second) = problems_of(both, 1)

    assert first.endswith("give one of them a name of its own, or change upstreams.live.prefix")
    assert second.endswith("give one of them a name of its own, or change upstreams.test.prefix")


BY_HAND = """\
signoff: 1
upstreams:
  api: {openapi: api.json, base_url: "https://api.example"}
  one: {base_url: "https://one.example"}
capabilities:
  - {name: NAME, description: D., upstream: one, request: {method: GET, path: /x}}
  - {name: other, description: D., upstream: OTHER, request: {method: GET, path: /y}}
users: [{id: alice}]
"""


def test_a_prefix_is_named_only_where_it_would_help() -> None:
    text = BY_HAND.replace("NAME", "get0").replace("OTHER", "one")
    told = problems_of(text, 1)
    assert [line.rpartition("; ")[2] for line in told] == [
        "give one of them a name of its own, or set upstreams.api.prefix",
        "give one of them a name of its own, or set upstreams.api.prefix",
    ]

    text = BY_HAND.replace("NAME", "other").replace("OTHER", "api")
    told = problems_of(text, 1)
    assert [line.rpartition("; ")[2] for line in told] == ["give one of them a name of its own"] * 2


def test_a_prefix_never_makes_a_name_of_signoffs_own() -> None:
    spec = json.dumps({
        "openapi": "3.0.0",
        "paths": {"/t": {"get": {"operationId": "tools", "responses": {}}}},
    }).encode()
    text = TWICE.replace("MORE", ", prefix: search")
    result = parse(text.encode(), file="c", read_spec=lambda name: (name, spec))

    assert isinstance(result, Broken)
    assert [problem.message for problem in result.problems] == [
        'api.json#tools: "search_tools" is signoff\'s own tool; give it another name'
    ]
