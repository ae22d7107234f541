"""A case for each key of the catalogue: what it changes, or that it is refused."""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from signoff.catalog import model
from signoff.catalog.loader import Broken, Loaded, parse
from signoff.catalog.model import Catalogue

Patch = Mapping[str, Any]

SPECS = Path(__file__).parent / "catalog" / "fixtures" / "specs"
SPEC: dict[str, Any] = json.loads((SPECS / "every-key.json").read_text())
OVERLAY: dict[str, Any] = {
    "overlay": "1.0.0",
    "info": {"title": "o", "version": "1"},
    "actions": [{"target": "$.paths['/things'].get", "update": {"summary": "Laid over"}}],
}
FILES: dict[str, Any] = {"spec.json": SPEC, "overlay.json": OVERLAY}
BASE: dict[str, Any] = {
    "signoff": 1,
    "server": {},
    "auth": {"local_user": "alice"},
    "users": [{"id": "alice"}, {"id": "bob", "groups": ["finance"]}],
    "upstreams": {"up": {"openapi": "spec.json", "base_url": "https://up.example"}},
    "capabilities": [
        {
            "name": "do",
            "description": "Does.",
            "upstream": "up",
            "request": {"method": "POST", "path": "/do"},
            "input": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
        {
            "name": "look",
            "description": "Looks.",
            "upstream": "up",
            "request": {"method": "GET", "path": "/look"},
            "input": {
                "type": "object",
                "properties": {"page": {"type": "integer"}, "size": {"type": "integer"}},
            },
        },
    ],
}
UP, OP, HAND, LOOK = "upstreams.up", "upstreams.up.operations", "capabilities.0", "capabilities.1"
ADD = f"{OP}.add"
LIST = f"{OP}.list"
RULE = {"id": "r", "effect": "deny", "capability": "do"}
CLIENT = {"client_id": "me", "client_secret": "${env:S}", "token_url": "https://as.example/t"}
PAGES = {"kind": "page", "argument": "page", "items": "data"}
CURSOR = {"kind": "cursor", "argument": "page", "next": "next"}
CERTIFICATE = {"cert": "${file:a.pem}", "key": "${file:a.key}"}
ELSEWHERE = {"issuer": "https://as.example", "client_id": "gate"}


def at(path: str, value: Any) -> Patch:
    return {path: value}


def both(path: str, common: Mapping[str, Any], **more: Any) -> tuple[Patch, Patch]:
    """Return what stands at `path` without and with `more`."""
    return at(path, common), at(path, {**common, **more})


def shared(here: str) -> dict[str, tuple[Patch, Patch]]:
    """Return the cases of the keys that operations and capabilities written by hand share."""
    return {
        "name": ({}, at(f"{here}.name", "renamed")),
        "title": ({}, at(f"{here}.title", "Titled")),
        "description": ({}, at(f"{here}.description", "Described.")),
        "risk": ({}, at(f"{here}.risk", "low")),
        "scopes": ({}, at(f"{here}.scopes", ["admin"])),
        "visible_to": ({}, at(f"{here}.visible_to", ["bob"])),
        "approval": ({}, at(f"{here}.approval", {"title": "Do it"})),
        "approval.title": ({}, at(f"{here}.approval", {"title": "Do it"})),
        "approval.approver": ({}, at(f"{here}.approval", {"approver": "bob"})),
        "approval.approver.any_of": both(
            f"{here}.approval.approver", {"any_of": ["alice"]}, any_of=["bob"]
        ),
        "approval.approver.not_caller": both(
            f"{here}.approval.approver", {"any_of": ["bob"]}, not_caller=True
        ),
        "approval.expires_in": ({}, at(f"{here}.approval", {"expires_in": "5m"})),
        "retry": ({}, at(f"{here}.retry", "natural")),
        "retry.idempotency_key": ({}, at(f"{here}.retry", {"idempotency_key": "X-Once"})),
        "definite_statuses": ({}, at(f"{here}.definite_statuses", [503])),
    }


def paging(here: str) -> dict[str, tuple[Patch, Patch]]:
    return {
        "pagination": ({}, at(f"{here}.pagination", PAGES)),
        "pagination.kind": both(f"{here}.pagination", PAGES, kind="offset"),
        "pagination.argument": both(f"{here}.pagination", PAGES, argument="size"),
        "pagination.limit": both(f"{here}.pagination", PAGES, limit="size"),
        "pagination.items": both(f"{here}.pagination", PAGES, items="rows"),
        "pagination.more": both(f"{here}.pagination", PAGES, more="more"),
        "pagination.total": both(f"{here}.pagination", PAGES, total="total"),
        "pagination.first": both(f"{here}.pagination", PAGES, first=0),
        "pagination.next": both(f"{here}.pagination", CURSOR, next="after"),
        "pagination.fetch_all": both(f"{here}.pagination", PAGES, fetch_all=True),
        **{
            f"pagination.{key}": both(
                f"{here}.pagination", {**PAGES, "fetch_all": True}, **{key: value}
            )
            for key, value in {"max_pages": 2, "max_items": 3, "max_time": "4s"}.items()
        },
    }


def prefixed(prefix: str, cases: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{key}": case for key, case in cases.items()}


EFFECTS: dict[str, tuple[Patch, Patch]] = {
    "server": ({}, at("server.name", "n")),
    "server.name": ({}, at("server.name", "n")),
    "server.instructions": ({}, at("server.instructions", "Read.")),
    "server.public_url": ({}, at("server.public_url", "https://s.example")),
    "server.allowed_hosts": ({}, at("server.allowed_hosts", ["s.internal"])),
    "server.allowed_origins": ({}, at("server.allowed_origins", ["https://a.example"])),
    "server.client_address_header": (
        {},
        at("server.client_address_header", "X-Forwarded-For"),
    ),
    "server.max_tools": ({}, at("server.max_tools", 5)),
    "server.wait_budgets": ({}, at("server.wait_budgets", {"claude-code": "2m"})),
    "server.refs": ({}, at("server.refs", "inline")),
    "server.client_refs": ({}, at("server.client_refs", {"x": "inline"})),
    "server.tool_bytes": ({}, at("server.tool_bytes", 4096)),
    "server.list_bytes": ({}, at("server.list_bytes", 8192)),
    "auth": ({}, at("auth.local_user", "bob")),
    "auth.local_user": ({}, at("auth.local_user", "bob")),
    "auth.registration": ({}, at("auth", {"local_user": "alice", "registration": False})),
    "auth.assertion_audience": (
        {},
        at("auth", {"local_user": "alice", "assertion_audience": "ciba"}),
    ),
    "auth.client_documents": ({}, at("auth", {"local_user": "alice", "client_documents": False})),
    "auth.resources": ({}, at("auth.resources", ["https://mcp.example/mcp"])),
    "auth.session_lifetime": ({}, at("auth.session_lifetime", "30d")),
    "auth.scopes": ({}, at("auth.scopes", ["files"])),
    "approvals": ({}, at("approvals", ELSEWHERE)),
    "approvals.issuer": ({}, at("approvals", ELSEWHERE)),
    "approvals.client_id": both("approvals", ELSEWHERE, client_id="other"),
    "approvals.ca": both("approvals", ELSEWHERE, ca="ca.pem"),
    "authorization_details_types": (
        {},
        at("authorization_details_types", {"pay": {"schema": {"type": "object"}}}),
    ),
    **{
        f"authorization_details_types.*.{key}": both(
            "authorization_details_types.pay", {"schema": {"type": "object"}}, **{key: value}
        )
        for key, value in {
            "schema": {"type": "object", "required": ["amount"]},
            "title": "Pay",
            "description": "Moves money.",
        }.items()
    },
    "users": ({}, at("users.1.name", "Bob")),
    "users[].id": ({}, at("users.1.id", "carol")),
    "users[].name": ({}, at("users.1.name", "Bob")),
    "users[].email": ({}, at("users.1.email", "bob@example.com")),
    "users[].admin": ({}, at("users.1", {"id": "bob", "groups": ["finance"], "admin": True})),
    "users[].groups": ({}, at("users.1.groups", ["staff"])),
    "users[].subjects": ({}, at("users.1.subjects", {"https://idp.example": "b"})),
    "policy": ({}, at("policy.defaults", {"GET": "ask"})),
    "policy.defaults": ({}, at("policy.defaults", {"GET": "ask"})),
    **{
        f"policy.defaults.{method}": (
            at("policy.defaults", {"*": "ask"}), at("policy.defaults", {"*": "ask", method: "deny"})
        )
        for method in (*model.METHODS, "*")
    },
    "policy.rules": ({}, at("policy.rules", [RULE])),
    "policy.rules[].id": both("policy.rules.0", RULE, id="other"),
    "policy.rules[].effect": both("policy.rules.0", RULE, effect="ask"),
    "policy.rules[].capability": both("policy.rules.0", RULE, capability="list"),
    "policy.rules[].method": both("policy.rules.0", RULE, method="POST"),
    "policy.rules[].risk": both("policy.rules.0", RULE, risk="high"),
    "policy.rules[].reason": both("policy.rules.0", RULE, reason="Because."),
    "upstreams": ({}, at("upstreams.more", {"base_url": "https://more.example"})),
    **prefixed("upstreams.*", {
        "openapi": (at(f"{UP}.openapi", None), {}),
        "overlays": ({}, at(f"{UP}.overlays", ["overlay.json"])),
        "base_url": ({}, at(f"{UP}.base_url", "https://other.example")),
        "audience": (
            both(f"{UP}", BASE["upstreams"]["up"],
                 headers={"X-Proof": "${approval.token}"}, audience="https://a.example")[1],
            both(f"{UP}", BASE["upstreams"]["up"],
                 headers={"X-Proof": "${approval.token}"}, audience="https://b.example")[1],
        ),
        "headers": ({}, at(f"{UP}.headers", {"X-A": "b"})),
        "timeout": ({}, at(f"{UP}.timeout", "3s")),
        "max_response_bytes": ({}, at(f"{UP}.max_response_bytes", 4096)),
        "expose": ({}, at(f"{UP}.expose", [{"tags": ["things"]}])),
        "expose[].tags": ({}, at(f"{UP}.expose", [{"tags": ["things"]}])),
        "expose[].operations": ({}, at(f"{UP}.expose", [{"operations": ["add"]}])),
        "expose[].methods": ({}, at(f"{UP}.expose", [{"methods": ["GET"]}])),
        "expose[].paths": ({}, at(f"{UP}.expose", [{"paths": ["/thing*"]}])),
        "operations": ({}, at(f"{ADD}.risk", "low")),
        "deprecated": ({}, {f"{UP}.deprecated": True}),
        "prefix": ({}, {f"{UP}.prefix": "bank"}),
        "lists": (
            at(f"{ADD}.media_type", "application/x-www-form-urlencoded"),
            {
                f"{ADD}.media_type": "application/x-www-form-urlencoded",
                f"{UP}.lists": "numbered",
            },
        ),
        "variables": (
            at(f"{UP}.allow_servers", ["https://eu.away.example", "https://us.away.example"][:1]),
            {
                f"{UP}.allow_servers": ["https://us.away.example"],
                f"{UP}.variables": {"region": "us"},
            },
        ),
        "allow_servers": ({}, at(f"{UP}.allow_servers", ["https://eu.away.example"])),
        "allow_servers[].url": (
            {}, at(f"{UP}.allow_servers", [{"url": "https://eu.away.example"}]),
        ),
        "allow_servers[].credentials": (
            at(f"{UP}.allow_servers", [{"url": "https://eu.away.example"}]),
            at(f"{UP}.allow_servers", [{"url": "https://eu.away.example", "credentials": True}]),
        ),
        "client": ({}, at(f"{UP}.client", "aiohttp")),
        "allow_private": (
            at(f"{UP}.allow_servers", ["https://eu.away.example"]),
            {
                f"{UP}.allow_servers": ["https://eu.away.example"],
                f"{UP}.allow_private": ["10.0.0.0/8"],
            },
        ),
        "approval": ({}, at(f"{UP}.approval", {"approver": "bob"})),
        "approval.approver": ({}, at(f"{UP}.approval", {"approver": "bob"})),
        "approval.expires_in": ({}, at(f"{UP}.approval", {"expires_in": "5m"})),
        "approval.approver.any_of": both(
            f"{UP}.approval.approver", {"any_of": ["alice"]}, any_of=["bob"]
        ),
        "approval.approver.not_caller": both(
            f"{UP}.approval.approver", {"any_of": ["bob"]}, not_caller=True
        ),
        "visible_to": ({}, at(f"{UP}.visible_to", ["bob"])),
        "client_certificate": ({}, at(f"{UP}.client_certificate", CERTIFICATE)),
        **{
            f"client_certificate.{key}": both(
                f"{UP}.client_certificate", CERTIFICATE, **{key: value}
            )
            for key, value in {
                "cert": "${file:b.pem}",
                "key": "${file:b.key}",
                "password": "${env:P}",
                "ca": "${file:ca.pem}",
            }.items()
        },
        "default_grants": ({}, at(f"{UP}.default_grants", ["add"])),
        "credentials": ({}, at(f"{UP}.credentials", {"key": "${env:K}"})),
        "credentials.*.value": both(
            f"{UP}.credentials.key", {"value": "${env:K}"}, value="${env:L}"
        ),
        "credentials.*.in": both(
            f"{UP}.credentials.x",
            {"in": "header", "name": "x", "value": "${env:K}"},
            **{"in": "query"},
        ),
        "credentials.*.name": both(
            f"{UP}.credentials.x", {"in": "query", "name": "x", "value": "${env:K}"}, name="y"
        ),
        "credentials.*.username": both(
            f"{UP}.credentials.login", {"username": "a", "password": "${env:P}"}, username="b"
        ),
        "credentials.*.password": both(
            f"{UP}.credentials.login",
            {"username": "a", "password": "${env:P}"},
            password="${env:Q}",
        ),
        "credentials.*.hook": both(f"{UP}.credentials.key", {"hook": "a:b"}, hook="a:c"),
        **{
            f"credentials.*.{key}": both(f"{UP}.credentials.oauth", CLIENT, **{key: value})
            for key, value in {
                "client_id": "you",
                "client_secret": "${env:T}",
                "token_url": "https://as.example/u",
                "scopes": ["read"],
                "audience": "api",
                "token_endpoint_auth_method": "client_secret_post",
            }.items()
        },
        **prefixed("operations.*", {
            **shared(ADD),
            "secret": ({}, at(f"{ADD}.secret", ["note"])),
            "media_type": ({}, at(f"{ADD}.media_type", "application/x-www-form-urlencoded")),
            **paging(LIST),
        }),
    }),
    "capabilities": ({}, at("capabilities.0.name", "done")),
    **prefixed("capabilities[]", {
        **shared(HAND),
        "secret": ({}, at(f"{HAND}.secret", ["a"])),
        "upstream": (
            {},
            {"upstreams.more": {"base_url": "https://m.example"}, f"{HAND}.upstream": "more"},
        ),
        "input": ({}, at(f"{HAND}.input.properties", {"b": {}})),
        "output": ({}, at(f"{HAND}.output", {"type": "object"})),
        **paging(LOOK),
        "request": ({}, at(f"{HAND}.request.path", "/done")),
        "request.method": ({}, at(f"{HAND}.request.method", "PUT")),
        "request.path": ({}, at(f"{HAND}.request.path", "/done")),
        "request.query": ({}, at(f"{HAND}.request.query", {"q": "{a}"})),
        "request.headers": ({}, at(f"{HAND}.request.headers", {"X-Q": "{a}"})),
        "request.body": ({}, at(f"{HAND}.request.body", "{a}")),
    }),
}  # fmt: skip

LATER = ("constraints", "grant_ttl", "default_grants")
REFUSED: dict[str, Patch] = {
    "signoff": at("signoff", 2),
    "storage": at("storage", {"url": "mysql"}),
    "storage.url": at("storage.url", "postgresql://db"),
    "auth.issuer": at("auth.issuer", "https://idp.example"),
    "auth.required_scopes": at("auth.required_scopes", ["a"]),
    "approvals.accept": at("approvals.accept", "binding"),
    "upstreams.*.allow_refs": at(f"{UP}.allow_refs", ["no address"]),
    "upstreams.*.approval.title": at(f"{UP}.approval.title", "Do it"),
    "upstreams.*.approval.strength": at(f"{UP}.approval.strength", "passkey"),
    **{
        f"upstreams.*.approval.strength.{method}": at(
            f"{UP}.approval.strength", {method: "passkey"}
        )
        for method in (*model.METHODS, "*")
    },
    "upstreams.*.approval.approver.need": at(
        f"{UP}.approval.approver", {"any_of": ["bob"], "need": 2}
    ),
    "capabilities[].media_type": at(f"{HAND}.media_type", "text/plain"),
    **{
        f"{prefix}.{key}": at(f"{here}.{key}", value)
        for prefix, here in (("upstreams.*.operations.*", ADD), ("capabilities[]", HAND))
        for key, value in {
            "executor": "handler",
            "approval.strength": "passkey",
            "approval.approver.need": 2,
            **dict.fromkeys(LATER, "x"),
            **{f"approval.{key}": "x" for key in LATER},
        }.items()
    },
    **{f"upstreams.*.approval.{key}": at(f"{UP}.approval.{key}", "x") for key in LATER},
}


def written(patch: Patch) -> bytes:
    """Return the base catalogue with the patch's values where their paths say."""
    root = copy.deepcopy(BASE)
    for path, value in patch.items():
        *steps, last = path.split(".")
        node: dict[str, Any] | list[Any] = root
        for step in steps:
            node = _below(node, step)
        if isinstance(node, list):
            node[int(last) :] = [value, *node[int(last) + 1 :]]
        else:
            node[last] = value
    return json.dumps(root).encode()


def _below(node: dict[str, Any] | list[Any], step: str) -> dict[str, Any] | list[Any]:
    if isinstance(node, list):
        return cast("dict[str, Any]", node[int(step)])
    empty: dict[str, Any] | list[Any] = [] if step == "rules" else {}
    return cast("dict[str, Any] | list[Any]", node.setdefault(step, empty))


def load(patch: Patch) -> Loaded | Broken:
    return parse(
        written(patch),
        file="capabilities.yaml",
        read_spec=lambda name: (name, json.dumps(FILES[name]).encode()),
    )


def compiled(patch: Patch) -> Catalogue:
    """Return the catalogue with every tool compiled, without its digest."""
    result = load(patch)
    assert isinstance(result, Loaded), "\n".join(map(str, result.problems))
    found = result.catalogue
    return replace(found, digest="", tools=tuple(found.tools), skipped=tuple(found.skipped))
