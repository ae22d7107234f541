"""Credentials that an operator's own Python makes: `module:function`, with the call's context.

Owns importing the function once and what it is told. Its value is used as it is for one request
and never kept; its errors are logged by kind, because their text may hold what it handled.
"""

import importlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, cast

from pydantic import SecretStr

from signoff.identity import Caller
from signoff.upstream.headers import CredentialError
from signoff.upstream.target import UpstreamError

_logger = logging.getLogger(__name__)


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

    def load(self, names: Iterable[str]) -> None:
        """Import every hook.

        Raises:
            UpstreamError: one cannot be imported, or is no function.
        """
        for name in names:
            module_name, _, attribute = name.partition(":")
            if not module_name or not attribute:
                raise UpstreamError(f"the credential hook {name!r} is not module:function")
            try:
                module = importlib.import_module(module_name)
            except ImportError as error:
                raise UpstreamError(f"the credential hook {name}: {error}") from error
            found: object = getattr(module, attribute, None)
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
        try:
            given = hook(context)
            if inspect.isawaitable(given):
                given = await given
        except Exception as error:  # noqa: BLE001 — the operator's code may raise anything
            # Nothing is sent, and nothing of the error is shown.
            _logger.warning("the credential hook %s failed: %s", name, type(error).__name__)
            raise CredentialError(f"the credential hook {name} failed") from None
        text = given.get_secret_value() if isinstance(given, SecretStr) else given
        if not isinstance(text, str) or not text:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CredentialError(f"the credential hook {name} gave no text")
        return text
