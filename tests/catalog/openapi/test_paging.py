"""Pages are detected where argument and answer agree, and nowhere else."""

import pytest

from signoff.canonical import Json
from signoff.catalog.wire import Pagination
from small_specs import only_tool

ITEMS: Json = {"type": "array", "items": {"type": "object"}}


def paged(
    arguments: list[str], answer: Json, *, headers: Json = None, method: str = "get"
) -> Pagination | None:
    parameters: Json = [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in arguments
    ]
    response: dict[str, Json] = {
        "description": "ok",
        "content": {"application/json": {"schema": answer}},
    }
    if headers is not None:
        response["headers"] = headers
    operation: dict[str, Json] = {"parameters": parameters, "responses": {"200": response}}
    return only_tool(operation, method=method).pagination


def holding(**members: Json) -> Json:
    return {"type": "object", "properties": members}


TEXT: Json = {"type": "string"}


@pytest.mark.parametrize(
    ("arguments", "answer", "plan"),
    [
        (
            ["limit", "starting_after"],
            holding(data=ITEMS, has_more={"type": "boolean"}),
            Pagination(
                kind="last_id",
                argument="starting_after",
                limit="limit",
                items=("data",),
                more=("has_more",),
            ),
        ),
        (
            ["cursor", "limit"],
            holding(channels=ITEMS, response_metadata=holding(next_cursor=TEXT)),
            Pagination(
                kind="cursor",
                argument="cursor",
                limit="limit",
                items=("channels",),
                next=("response_metadata", "next_cursor"),
            ),
        ),
        (
            ["pageToken"],
            holding(items=ITEMS, nextPageToken=TEXT),
            Pagination(
                kind="cursor", argument="pageToken", items=("items",), next=("nextPageToken",)
            ),
        ),
        (
            ["page", "per_page"],
            ITEMS,
            Pagination(kind="page", argument="page", limit="per_page", items=()),
        ),
        (
            ["offset", "limit"],
            holding(results=ITEMS, count={"type": "integer"}),
            Pagination(kind="offset", argument="offset", limit="limit", items=("results",)),
        ),
        (
            ["$skip", "$top"],
            holding(value=ITEMS),
            Pagination(kind="offset", argument="skip", limit="top", items=("value",)),
        ),
    ],
)
def test_known_shapes_are_recognised(arguments: list[str], answer: Json, plan: Pagination) -> None:
    assert paged(arguments, answer) == plan


def test_a_link_header_says_it_best() -> None:
    found = paged(["page", "per_page"], ITEMS, headers={"Link": {"schema": TEXT}})

    assert found == Pagination(kind="link", limit="per_page", items=())


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ([], holding(data=ITEMS, has_more={"type": "boolean"})),
        (["cursor"], holding(data=ITEMS)),
        (["page"], ITEMS),
        (["limit"], ITEMS),
        (["cursor"], holding(next_cursor=TEXT)),
        (["page", "per_page"], holding(a=ITEMS, b=ITEMS)),
        (["page", "per_page"], TEXT),
        (["starting_after"], holding(has_more={"type": "boolean"})),
        (["page", "per_page"], {"$ref": "#/nowhere"}),
    ],
)
def test_what_is_only_half_there_is_no_paging(arguments: list[str], answer: Json) -> None:
    assert paged(arguments, answer) is None


def test_only_reads_have_pages() -> None:
    assert paged(["page", "per_page"], ITEMS, method="post") is None


def test_a_count_of_all_items_is_recognised_and_a_plain_total_is_not() -> None:
    number: Json = {"type": "integer"}
    found = paged(["page", "per_page"], holding(items=ITEMS, total_count=number))
    assert found is not None
    assert found.total == ("total_count",)
    for name in ("total", "count"):
        plain = paged(["page", "per_page"], holding(items=ITEMS, **{name: number}))
        assert plain is not None
        assert plain.total == ()
