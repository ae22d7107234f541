"""The loop in docs/openapi.md runs as it stands there; importing it starts nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handler_parts import SHOP, TOKEN, shop
from wire import answer

DOCS = Path(__file__).parents[2] / "docs" / "openapi.md"


def loop_of_the_docs() -> str:
    [code] = [
        block
        for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
        if "openapi_handler(" in block
    ]
    return code


@pytest.mark.parametrize("says", [True, False])
@pytest.mark.seed("A47")
async def test_the_loop_of_the_docs_runs(
    says: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    turns = [
        [("a", "get_order", {"id": 7})],
        [("b", "drop_order", {"id": 7}), ("c", "get_order", {"id": "seven"})],
        [],
    ]

    async def model(messages: object, tools: list[Any]) -> SimpleNamespace:
        del messages
        assert [tool["name"] for tool in tools] == [
            "list_orders",
            "get_order",
            "drop_order",
            "ship_order",
        ]
        calls = [SimpleNamespace(id=i, name=n, arguments=a) for i, n, a in turns.pop(0)]
        return SimpleNamespace(calls=calls)

    async def token_of(user: str) -> str:
        return f"{TOKEN}{user}"

    async def show(title: str, request: object) -> bool:
        del request
        shown.append(title)
        return says

    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(json.dumps(SHOP))
    async with shop(answer(body=b'{"id": 7}')) as (_, wire):
        code = loop_of_the_docs().replace("https://api.shop.example", f"{wire.url}/v1")
        names: dict[str, Any] = {"token_of": token_of, "show": show}
        exec(compile(code, str(DOCS), "exec"), names)  # noqa: S102 — it is what is tested
        messages: list[dict[str, str]] = []
        await names["run"](model, messages, "-of-alice")
        lines = [wire.head(at)[0] for at in range(len(wire.requests))]
        sent = dict(wire.head(0)[1])["Authorization"]

    assert sent == f"Bearer {TOKEN}-of-alice"
    assert shown == ["Call drop_order: DELETE /orders/{id}"]
    assert messages[0] == {"role": "tool", "id": "a", "content": '{"id": 7}'}
    assert messages[2]["content"].startswith("get_order was not called:\n- id: ")
    if says:
        assert lines == ["GET /v1/orders/7 HTTP/1.1", "DELETE /v1/orders/7 HTTP/1.1"]
        assert messages[1]["content"] == '{"id": 7}'
    else:
        assert lines == ["GET /v1/orders/7 HTTP/1.1"]
        assert messages[1]["content"].startswith("alice denied this call.")


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("signoff.catalog.standalone", {"mcp", "starlette", "uvicorn", "httpx2", "httpcore2"}),
        ("signoff.handler.openapi", {"mcp", "starlette", "sqlite3", "jinja2", "joserfc"}),
    ],
)
@pytest.mark.seed("A47")
def test_it_is_imported_without_any_of_the_server(module: str, never: set[str]) -> None:
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()

    assert never & set(found) == set()
