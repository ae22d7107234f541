"""Calls one tool over MCP for the command line: token, arguments, outcome."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from signoff.app.address import DEFAULT_PORT
from signoff.app.errors import BadInputError, CannotRunError
from signoff.client.arguments import ArgumentError, from_words
from signoff.client.session import CallOutcome, ClientError, OnStatus, connect
from signoff.desk.admin import AdminClient, AdminError, NoOwnerError

_USUAL: Final = f"http://localhost:{DEFAULT_PORT}/mcp"
_INPUT: Final = frozenset({"unknown_tool", "refused"})


async def call_tool(
    name: str,
    words: Sequence[str],
    *,
    document: str | None,
    url: str | None,
    data_dir: Path,
    token_file: Path,
    on_status: OnStatus,
    wait: bool,
) -> CallOutcome:
    """Call the tool and follow it to its end; without `url`, at the server on `data_dir`.

    Raises:
        BadInputError: the tool or an argument does not exist, or the tools are elsewhere.
        CannotRunError: no server, or no token for it.
    """
    url = url or await _served(data_dir)
    try:
        token = token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRunError(
            f"no token in {token_file}: start the server with `signoff serve`, or name its "
            "--data-dir or --token-file"
        ) from error
    if not token:
        raise CannotRunError(f"{token_file} is empty: it must hold the token of the server")
    try:
        async with connect(url, token, token_from=str(token_file)) as session:
            tool = await session.tool(name)
            arguments = from_words(words, schema=tool.input_schema, document=document)
            return await session.call(name, arguments, on_status=on_status, wait=wait)
    except ArgumentError as error:
        raise BadInputError(str(error)) from error
    except ClientError as error:
        raise (BadInputError if error.kind in _INPUT else CannotRunError)(str(error)) from error


async def _served(data_dir: Path) -> str:
    """Return where the server on `data_dir` has its tools, or the usual place if none runs."""
    try:
        answer = await AdminClient(data_dir).call("calls.address")
    except NoOwnerError:
        return _USUAL
    except AdminError as error:
        raise BadInputError(str(error)) from error
    return cast("dict[str, str]", answer)["url"]
