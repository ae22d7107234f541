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
            "(upstreams.test); give one of them a name of its own"
        ),
        (
            'c:4:19: api.json#get0 (upstreams.test): the name "get0" is also that of api.json#get0 '
            "(upstreams.live); give one of them a name of its own"
        ),
    ]


def test_many_are_one_sentence_for_an_upstream() -> None:
    assert problems_of(TWICE.replace("MORE", ""), 1_500) == [
        (
            "c:3:19: upstreams.live: 1,500 tools are called like those of upstreams.test (get0, "
            "get1, get2, …): name them, as in upstreams.live.operations.get0.name, or expose fewer"
        ),
        (
            "c:4:19: upstreams.test: 1,500 tools are called like those of upstreams.live (get0, "
            "get1, get2, …): name them, as in upstreams.test.operations.get0.name, or expose fewer"
        ),
    ]


def test_another_name_is_enough() -> None:
    more = ", operations: {get0: {name: test_get0}}"

    assert problems_of(TWICE.replace("MORE", more), 1) == []
