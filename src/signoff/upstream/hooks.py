"""Credentials that an operator's own Python makes: `module:function`, with the call's context.

Owns importing the function once and what it is told. Its value is used as it is for one request
and never kept; its errors are logged by kind, because their text may hold what it handled.
"""

import asyncio
import contextlib
import contextvars
import importlib
import inspect
import logging
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, TypeAlias, cast

from pydantic import SecretStr

from signoff.identity import Caller
from signoff.upstream.headers import CredentialError
from signoff.upstream.target import UpstreamError

_logger = logging.getLogger(__name__)

_MOST_RUNNING: Final = 32
"""Plain functions that have not ended; more of them would only wait for the same thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookContext:
    """What a hook is told of the call. `call_id` is None where no person was asked."""

    upstream: str
    tool: str
    method: str
    url: str
    caller: Caller
    call_id: str | None


Hook: TypeAlias = Callable[[HookContext], "Awaitable[str | SecretStr] | str | SecretStr"]


class Hooks:
    """The hooks a catalogue names."""

    def __init__(self) -> None:
        self._known: dict[str, Hook] = {}
        self._running = 0

    def load(self, names: Iterable[str]) -> None:
        """Import every hook.

        Raises:
            UpstreamError: one cannot be imported, or is no function.
        """
        for name in names:
            module_name, _, attribute = name.partition(":")
            if not module_name or not attribute:
                raise UpstreamError(f"the credential hook {name!r} is not module:function")
            found: object = getattr(_imported(name, module_name), attribute, None)
            if not callable(found):
                raise UpstreamError(f"the credential hook {name} is no function")
            self._known[name] = cast("Hook", found)

    async def value(self, name: str, context: HookContext | None) -> str:
        """Return what the hook gives for this call.

        Raises:
            CredentialError: it is not there, it failed, or it gave no text.
        """
        hook = self._known.get(name)
        if hook is None or context is None:
            raise CredentialError(f"the credential hook {name} is not there")
        if self._running >= _MOST_RUNNING:
            raise CredentialError(
                f"the credential hook {name}: too many calls of it have not ended"
            )
        try:
            given = await self._given(hook, context)
        except _HookError as error:
            # Nothing is sent, and nothing of the error is shown.
            _logger.warning("the credential hook %s failed: %s", name, error)
            raise CredentialError(f"the credential hook {name} failed") from None
        text = given.get_secret_value() if isinstance(given, SecretStr) else given
        if not isinstance(text, str) or not text:
            raise CredentialError(f"the credential hook {name} gave no text")
        return text

    async def _given(self, hook: Hook, context: HookContext) -> object:
        """Return what the hook gives.

        Raises:
            _HookError: it raised something.
        """
        try:
            if inspect.iscoroutinefunction(hook):
                return cast("object", await hook(context))
            given = await self._beside(hook, context)
            return cast("object", await given) if inspect.isawaitable(given) else given
        except _HookError:
            raise
        except Exception as error:  # noqa: BLE001 — the operator's code may raise anything
            raise _HookError(type(error).__name__) from None

    async def _beside(self, hook: Hook, context: HookContext) -> object:
        """Run a plain function in a thread of its own: it may wait for a network.

        One that never ends is left behind, and does not keep the process alive.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[object] = loop.create_future()

        def end(given: object, error: BaseException | None) -> None:
            self._running -= 1
            if ended.done():
                return
            if error is None:
                ended.set_result(given)
            else:
                ended.set_exception(_HookError(type(error).__name__))

        def run() -> None:
            given: object = None
            failure: BaseException | None = None
            try:
                given = hook(context)
            except BaseException as error:  # noqa: BLE001 — as above; also what would end a process
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
                loop.call_soon_threadsafe(end, given, failure)

        self._running += 1
        variables = contextvars.copy_context()
        threading.Thread(target=variables.run, args=(run,), daemon=True).start()
        return await ended


class _HookError(Exception):
    """A hook raised something; the text is what kind of thing."""


def _imported(name: str, module_name: str) -> ModuleType:
    where = f"the credential hook {name}"
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        fix = "; install it beside signoff, or name its folder in PYTHONPATH"
        raise UpstreamError(f"{where}: {error}{fix}") from error
    except ImportError as error:
        raise UpstreamError(f"{where}: {error}") from error
    except (Exception, SystemExit) as error:  # noqa: BLE001 — the operator's code
        # Its words may hold what it handled; where it happened is enough to find it.
        kind = type(error).__name__
        raise UpstreamError(f"{where} cannot be imported: {kind}{_place(error)}") from None


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f" in {Path(error.filename).name}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
