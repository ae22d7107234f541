"""An operator's own function makes a credential: loading it, running it, and what it may do."""

import asyncio
import logging
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import SecretStr

from signoff.upstream.headers import CredentialError
from signoff.upstream.hooks import HookContext, Hooks
from signoff.upstream.target import UpstreamError
from upstream_parts import ALICE

CONTEXT = HookContext(
    upstream="bank", tool="pay", method="POST", url="https://b.example", caller=ALICE, call_id=None
)
SECRET = "s3cret-of-the-hook"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def loading(name: str) -> str:
    with pytest.raises(UpstreamError) as caught:
        Hooks().load([name])
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(context) return 1\n", "cannot be imported: SyntaxError in broken_keys.py, line 1"),
        (
            f"x = 1\n\nraise RuntimeError('{SECRET}')\n",
            "cannot be imported: RuntimeError in broken_keys.py, line 3",
        ),
        ("import sys\nsys.exit(7)\n", "cannot be imported: SystemExit in broken_keys.py, line 2"),
        ("import no_such_module_at_all\n", "No module named 'no_such_module_at_all'"),
        ("f = 5\n", "is no function"),
        ("", "is no function"),
    ],
)
def test_a_module_that_does_not_load_is_named_with_its_line_and_no_value(
    source: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken_keys.py").write_text(source)
    monkeypatch.delitem(sys.modules, "broken_keys", raising=False)

    told = loading("broken_keys:f")
    monkeypatch.delitem(sys.modules, "broken_keys", raising=False)
    assert told.startswith("the credential hook broken_keys:f")
    assert said in told
    assert SECRET not in told


def test_a_module_that_is_not_found_says_where_it_is_looked_for() -> None:
    assert loading("nowhere_keys:f") == (
        "the credential hook nowhere_keys:f: No module named 'nowhere_keys'; install it beside "
        "signoff, or name its folder in PYTHONPATH"
    )


def hooks(monkeypatch: pytest.MonkeyPatch, function: object) -> Hooks:
    module = ModuleType("hooks_of_this_test")
    module.__dict__["f"] = function
    monkeypatch.setitem(sys.modules, "hooks_of_this_test", module)
    made = Hooks()
    made.load(["hooks_of_this_test:f"])
    return made


async def value(made: Hooks) -> str:
    return await made.value("hooks_of_this_test:f", CONTEXT)


async def test_a_plain_function_that_takes_long_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go = threading.Event()

    def slow(_: HookContext) -> str:
        assert go.wait(30)
        return "at-last"

    waiting = asyncio.create_task(value(hooks(monkeypatch, slow)))
    await asyncio.sleep(0)  # it is running now, and this line is reached all the same
    assert not waiting.done()
    go.set()
    assert await waiting == "at-last"


async def test_a_plain_function_that_never_ends_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go = threading.Event()

    def stuck(_: HookContext) -> str:
        go.wait()
        return "too-late"

    waiting = asyncio.create_task(value(hooks(monkeypatch, stuck)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()


async def test_functions_that_never_end_are_not_piled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    started: list[int] = []

    def stuck(_: HookContext) -> str:
        started.append(1)
        go.wait()
        return "x"

    made = hooks(monkeypatch, stuck)
    tasks = [asyncio.create_task(value(made)) for _ in range(200)]
    await asyncio.sleep(0)
    refused = [task for task in tasks if task.done()]
    for task in refused:
        with pytest.raises(CredentialError, match="too many calls of it have not ended"):
            await task
    go.set()
    assert len(refused) == 200 - 32
    assert [await task for task in tasks if task not in refused] == ["x"] * 32
    assert len(started) == 32
    assert await value(made) == "x"


class Callable:
    async def __call__(self, context: HookContext) -> SecretStr:
        return SecretStr(f"{context.tool}-token")


async def test_an_object_that_is_called_is_a_function_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await value(hooks(monkeypatch, Callable())) == "pay-token"


@pytest.mark.parametrize(
    "given", [None, 5, b"bytes", "", ["a"], {"a": "b"}, SecretStr(""), object(), True]
)
@pytest.mark.parametrize("later", [True, False])
async def test_what_is_no_text_is_no_credential(
    given: object,
    later: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def asynchronous(_: HookContext) -> object:
        return given

    def plain(_: HookContext) -> object:
        return given

    with pytest.raises(CredentialError, match=r"gave no text$"):
        await value(hooks(monkeypatch, asynchronous if later else plain))


@pytest.mark.parametrize(
    "error", [RuntimeError(SECRET), SystemExit(SECRET), KeyboardInterrupt(SECRET), TimeoutError()]
)
async def test_what_a_function_raises_is_told_by_its_kind(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(_: HookContext) -> str:
        raise error

    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(CredentialError, match=r"hooks_of_this_test:f failed$"),
    ):
        await value(hooks(monkeypatch, failing))
    assert type(error).__name__ in caplog.text
    assert SECRET not in caplog.text


async def never_asked() -> str:
    return SECRET


def never_asked_either(one: object, other: object) -> str:
    return f"{one}{other}"


@pytest.mark.parametrize("function", [never_asked, never_asked_either])
async def test_a_function_that_takes_something_else_fails(
    function: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CredentialError, match=r"hooks_of_this_test:f failed$"):
        await value(hooks(monkeypatch, function))
