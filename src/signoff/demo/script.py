"""The scripted first call of `signoff demo`: one transfer, made exactly as an assistant makes it.

Owns which tools are called and how what the assistant sees is worded. It is an MCP client like
any other: it decides nothing and knows neither page nor session.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final

from signoff.canonical import Json
from signoff.client.session import CallOutcome, Session, connect

Say = Callable[[str], None]

READ: Final = "list_accounts"
WRITE: Final = "transfer_funds"
TRANSFER: Final[Mapping[str, Json]] = {
    "amount": 25,
    "currency": "EUR",
    "from_account": "checking",
    "to_account": "savings",
    "memo": "a first transfer",
}


async def play(*, url: str, token: str, say: Say) -> CallOutcome | None:
    """Ask for the accounts, then for a transfer, and follow it to its end.

    `say` gets each line as it happens. Returns None where the catalogue has no such transfer:
    a demo of another catalogue shows the server and makes no call.

    Raises:
        ClientError: the server cannot be reached, or went silent.
    """
    async with connect(url, token, token_from="local-token", client_name="demo-assistant") as seen:  # noqa: S106 — where the token is kept
        tools = await seen.tools()
        if WRITE not in tools or not set(TRANSFER) <= _arguments(tools[WRITE].input_schema):
            say(f"This catalogue has no {WRITE} to show; connect an assistant to {url}.")
            return None
        if READ in tools:
            await _call(seen, READ, {}, say)
        outcome = await _call(seen, WRITE, TRANSFER, say)
        if outcome.state == "done" and READ in tools:
            await _call(seen, READ, {}, say)
        return outcome


async def _call(
    session: Session, name: str, arguments: Mapping[str, Json], say: Say
) -> CallOutcome:
    said = ", ".join(f"{key}={json.dumps(value)}" for key, value in arguments.items())
    say(f"assistant calls   {name}({said})")
    outcome = await session.call(
        name, arguments, on_status=lambda status: say(f"assistant reads   {status}")
    )
    say(f"assistant gets    {_one_line(outcome)}")
    return outcome


def _one_line(outcome: CallOutcome) -> str:
    if outcome.structured is None:
        return " ".join(outcome.text.split())
    return json.dumps(outcome.structured, ensure_ascii=False)


def _arguments(schema: Mapping[str, Json]) -> set[str]:
    properties = schema.get("properties")
    return set(properties) if isinstance(properties, dict) else set()
