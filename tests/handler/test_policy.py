"""Risks, strengths and grants from Python mean what they mean in a catalogue."""

from typing import Any

import pytest

from handler_parts import SHOP, shop
from signoff.catalog.model import Capability, DefaultGrants, Risk, Strength
from signoff.catalog.standalone import SetupError, from_openapi
from signoff.gate.policy import Allow, decide
from signoff.handler.openapi import openapi_handler

READS = {"list_orders", "get_order"}
CHANGES = {"drop_order", "ship_order"}
LOW = {"ship_order": "low"}


def is_read(one: Capability) -> bool:
    return one.method == "GET"


def is_any(_: Capability) -> bool:
    return True


def is_drop(one: Capability) -> bool:
    return one.name == "drop_order"


def for_shipping(one: Capability) -> Strength | None:
    return "passkey" if one.path.endswith("/ship") else None


def nothing(_: Capability) -> str:
    return ""


def goes(**options: Any) -> set[str]:
    api = from_openapi(SHOP, **options)
    return {tool.name for tool in api.tools if isinstance(decide(api.policy, tool), Allow)}


def strengths(**options: Any) -> dict[str, str]:
    return {tool.name: tool.approval.strength for tool in from_openapi(SHOP, **options).tools}


@pytest.mark.seed("A47")
@pytest.mark.parametrize(
    ("grants", "expected"),
    [
        (None, READS),
        (True, READS | {"ship_order"}),
        (False, set[str]()),
        ([], set[str]()),
        ("GET", READS),
        (["GET", "HEAD"], READS),
        (["POST"], {"ship_order"}),
        (["DELETE"], set[str]()),
        (["get_order"], {"get_order"}),
        ("*_order", {"get_order", "ship_order"}),
        (["drop_order"], {"drop_order"}),
        (["DELETE /orders/{id}"], {"drop_order"}),
        (is_read, READS),
        (is_any, READS | {"ship_order"}),
        (is_drop, set[str]()),
    ],
    ids=[
        "unsaid", "true", "false", "empty", "method", "methods", "low change", "risky method",
        "name", "pattern", "risky name", "risky place", "function", "function for all",
        "function for a risky one",
    ],
)  # fmt: skip
def test_default_grants_open_what_is_low_and_a_risky_tool_only_by_its_exact_name(
    grants: Any, expected: set[str]
) -> None:
    assert goes(risks=LOW, default_grants=grants) == expected


def test_what_is_granted_against_its_risk_is_noted() -> None:
    api = from_openapi(SHOP, default_grants=["drop_order", "*_order"])

    assert api.policy.grants == {"api": DefaultGrants(capabilities=("drop_order", "*_order"))}
    assert api.notes == (
        ("default_grants: does not grant ship_order: a risky one must be named exactly"),
        (
            "default_grants: grants drop_order (DELETE /orders/{id}) without asking, although its "
            "risk is high (DELETE without a risk of its own)"
        ),
    )


async def test_a_tool_that_is_granted_by_name_goes_without_asking() -> None:
    async with shop(
        approve=None, selected=lambda one: one.id == "drop_order", default_grants="drop_order"
    ) as (call, wire):
        await call("drop_order", {"id": 1})

        assert wire.head()[0] == "DELETE /v1/orders/1 HTTP/1.1"


def test_no_grants_make_a_read_ask_too() -> None:
    with pytest.raises(SetupError, match="a person decides about list_orders, get_order"):
        openapi_handler(
            SHOP,
            base_url="https://shop.example",
            default_grants=[],
            selected=lambda one: one.method == "get",
        )


@pytest.mark.parametrize(
    ("grants", "said"),
    [
        (["list_order"], 'api has no capability "list_order", did you mean "list_orders"?'),
        ("get", 'api has no capability "get", did you mean "GET"?'),
        (["nothing.*"], 'api has no capability "nothing.*"'),
    ],
)
def test_a_grant_that_fits_nothing_is_a_mistake(grants: Any, said: str) -> None:
    with pytest.raises(SetupError) as caught:
        from_openapi(SHOP, default_grants=grants)

    assert str(caught.value) == f"default_grants: {said}"


@pytest.mark.seed("A47")
@pytest.mark.parametrize(
    ("given", "drop", "ship"),
    [
        (None, "session", "session"),
        ("session", "session", "session"),
        ("passkey", "passkey", "passkey"),
        ({"DELETE": "passkey"}, "passkey", "session"),
        ({"DELETE": "session", "*": "passkey"}, "session", "passkey"),
        (for_shipping, "session", "passkey"),
    ],
    ids=["unsaid", "session", "passkey", "method", "star", "function"],
)
def test_strength_is_for_all_by_method_or_by_a_function(given: Any, drop: str, ship: str) -> None:
    found = strengths(approval_strength=given)

    assert (found["drop_order"], found["ship_order"]) == (drop, ship)


def test_a_critical_tool_needs_a_passkey_whatever_the_default() -> None:
    risks = {"drop_order": "critical"}

    assert strengths(risks=risks)["drop_order"] == "passkey"
    assert strengths(risks=risks, approval_strength="session")["drop_order"] == "passkey"
    assert strengths(risks=risks, approval_strength={"DELETE": "session"}) == {
        "list_orders": "session",
        "get_order": "session",
        "drop_order": "passkey",
        "ship_order": "session",
    }


def test_a_function_that_asks_for_less_than_the_risk_demands_is_refused() -> None:
    def weak(_: Capability) -> Strength:
        return "session"

    with pytest.raises(SetupError, match="drop_order is critical, which means passkey"):
        from_openapi(SHOP, risks={"drop_order": "critical"}, approval_strength=weak)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"approval_strength": "none"}, "must be session or passkey, not 'none'"),
        ({"approval_strength": {"POST": "webauthn"}}, "must be session or passkey"),
        ({"approval_strength": {"post": "session"}}, '"post" is no method, did you mean "POST"?'),
        ({"approval_strength": nothing}, "must be session or passkey"),
        ({"risks": {"drops_order": "low"}}, 'no tool "drops_order", did you mean "drop_order"?'),
        ({"risks": {"drop_order": "none"}}, "must be one of low, high, critical"),
        ({"expires_in_s": 0}, "expires_in_s is from 1"),
        ({"expires_in_s": 400_000}, "expires_in_s is from 1"),
    ],
    ids=["none", "webauthn", "case", "empty", "unknown tool", "unknown risk", "zero", "long"],
)
def test_a_setting_that_means_nothing_is_a_mistake(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError) as caught:
        from_openapi(SHOP, **options)

    assert said in str(caught.value)


def test_a_risk_is_the_programs_word() -> None:
    api = from_openapi(SHOP, risks={"ship_order": "low", "get_order": "high"})
    found = {tool.name: (tool.risk, tool.risk_reason) for tool in api.tools}

    assert found["ship_order"] == (Risk.LOW, "set by the program")
    assert found["get_order"] == (Risk.HIGH, "set by the program")
    assert found["drop_order"] == (Risk.HIGH, "DELETE without a risk of its own")
