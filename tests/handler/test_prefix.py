"""`prefix` from Python means what it means in a catalogue, down to its mistakes."""

import json
from pathlib import Path

import pytest

from handler_parts import SHOP, refused, shop, yes
from signoff.catalog.loader import Broken, Loaded, load
from signoff.catalog.standalone import SetupError, from_openapi
from signoff.gate.policy import Allow, decide

CATALOGUE = """\
signoff: 1
upstreams:
  shop: {openapi: shop.json, base_url: "https://shop.example"%s}
users: [{id: alice}]
"""


def catalogue(folder: Path, prefix: str | None) -> Loaded | Broken:
    (folder / "shop.json").write_text(json.dumps(SHOP))
    more = "" if prefix is None else f", prefix: {json.dumps(prefix)}"
    (folder / "capabilities.yaml").write_text(CATALOGUE % more)
    return load(folder / "capabilities.yaml")


@pytest.mark.parametrize("prefix", [None, "s", "shop", "my-shop_2", "a" * 24, "call"])
def test_the_names_are_those_of_a_catalogue(prefix: str | None, tmp_path: Path) -> None:
    loaded = catalogue(tmp_path, prefix)
    assert isinstance(loaded, Loaded)

    names = [tool.name for tool in from_openapi(SHOP, prefix=prefix).tools]

    assert names == [tool.name for tool in loaded.catalogue.tools]
    assert all(name.startswith(f"{prefix}_") for name in names) is (prefix is not None)


@pytest.mark.parametrize(
    "prefix", ["a" * 25, "_shop", "shop_", "-", "my shop", "shöp", "a.b", "a\n"]
)
def test_a_mistake_is_told_as_in_a_catalogue(prefix: str, tmp_path: Path) -> None:
    broken = catalogue(tmp_path, prefix)
    assert isinstance(broken, Broken)
    [problem] = broken.problems

    with pytest.raises(SetupError) as error:
        from_openapi(SHOP, prefix=prefix)

    assert problem.message == f"upstreams.shop.{error.value}".replace("prefix ", "prefix: ", 1)


def test_an_empty_prefix_is_a_mistake_in_both(tmp_path: Path) -> None:
    assert isinstance(catalogue(tmp_path, ""), Broken)
    with pytest.raises(SetupError, match="prefix must be 1 to 24"):
        from_openapi(SHOP, prefix="")


def test_risks_and_grants_go_by_the_whole_name() -> None:
    api = from_openapi(
        SHOP, prefix="eu", risks={"eu_ship_order": "low"}, default_grants="eu_ship_*"
    )

    goes = {tool.name for tool in api.tools if isinstance(decide(api.policy, tool), Allow)}
    assert goes == {"eu_ship_order"}


@pytest.mark.parametrize("own", ["ship_order", "eu-ship_order"])
def test_a_name_without_the_prefix_is_no_tool(own: str) -> None:
    with pytest.raises(SetupError, match=f'there is no tool "{own}"'):
        from_openapi(SHOP, prefix="eu", risks={own: "low"})
    with pytest.raises(SetupError, match=own):
        from_openapi(SHOP, prefix="eu", default_grants=[own])


def test_what_a_function_selects_is_the_specs_own_operation() -> None:
    api = from_openapi(SHOP, prefix="eu", selected=lambda one: one.id == "get_order")

    assert [tool.name for tool in api.tools] == ["eu_get_order"]


async def test_a_call_goes_by_the_prefixed_name_and_by_no_other() -> None:
    async with shop(approve=yes, prefix="eu") as (call, wire):
        error = await refused(call, "list_orders", {})
        assert (error.code, wire.requests) == ("unknown_tool", [])
        await call("eu_list_orders", {})

    assert [request.partition(b"\r\n")[0] for request in wire.requests] == [
        b"GET /v1/orders HTTP/1.1"
    ]
