"""A program's first mistakes with the handler: each is told with what to give instead."""

from pathlib import Path
from typing import Any, cast

import pytest

from handler_parts import SHOP, refused, shop, yes
from signoff.catalog.standalone import SetupError, from_openapi
from signoff.handler.asking import Approve, Ask
from signoff.handler.openapi import openapi_handler


@pytest.mark.parametrize(
    "spec", ["shop.yaml", "https://shop.example/openapi.json", "openapi: 3.1.0\n", None, 5, ["a"]]
)
def test_a_spec_is_a_path_bytes_or_a_mapping(spec: Any) -> None:
    for make in (from_openapi, openapi_handler):
        with pytest.raises(SetupError, match=r"a spec is a Path to a file, its bytes or a mapping"):
            cast("Any", make)(spec, base_url="https://shop.example")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"nope\.yaml cannot be read: No such file"):
        from_openapi(tmp_path / "nope.yaml", base_url="https://shop.example")
    with pytest.raises(SetupError, match=r"cannot be read: Is a directory"):
        from_openapi(tmp_path, base_url="https://shop.example")


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes"])
def test_a_mapping_that_is_no_json_is_no_spec(value: object) -> None:
    with pytest.raises(SetupError, match="the spec is no JSON"):
        from_openapi(cast("Any", {**SHOP, "x-more": value}), base_url="https://shop.example")


async def test_an_approve_that_is_not_async_approves_nothing_and_says_so() -> None:
    def plain(ask: Ask) -> object:
        return ask.approved(by="alice")

    async with shop(approve=cast("Approve", plain)) as (call, wire):
        with pytest.raises(SetupError, match=r"approve is async: write `async def approve"):
            await call("drop_order", {"id": 1})
    assert wire.requests == []


async def test_a_name_in_other_letters_is_suggested_and_not_called() -> None:
    async with shop(approve=yes) as (call, wire):
        error = await refused(call, "List_Orders", {})
    assert str(error) == "There is no tool 'List_Orders'. Did you mean list_orders?"
    assert error.code == "unknown_tool"
    assert wire.requests == []
