"""What a spec or an upstream says reaches a terminal as text: no escape, no hidden character."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from signoff.app.errors import BadInputError, CannotRunError
from signoff.cli import call, failures
from signoff.cli.main import main
from signoff.cli.tables import visible_lines
from signoff.client.session import CallOutcome

EVIL = "\x1b[2J\x07\u202e\x9b31m\u200b\ufeff\x00"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def loudness() -> Iterator[None]:
    """Leave the SDK's logger as it was."""
    logger = logging.getLogger("client")
    before = logger.level
    yield
    logger.setLevel(before)


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def is_plain(text: str) -> bool:
    return all(letter == "\n" or letter.isprintable() for letter in text)


def spec() -> str:
    evil = EVIL.replace("\x00", "")
    operation: dict[str, Any] = {"operationId": f"a{evil}\nok: good, 9 tools", "responses": {}}
    broken = {**operation, "operationId": f"b{evil}", "parameters": [{"$ref": f"#/{evil}\nx"}]}
    Path("spec.json").write_text(
        json.dumps({
            "openapi": "3.1.0",
            "info": {"title": f"T{evil}", "version": "1"},
            "servers": [{"url": "https://a.example"}, {"url": f"https://b.example/{evil}"}],
            "tags": [{"name": evil}],
            "paths": {
                f"/a{evil}\n": {"get": {**operation, "tags": [evil]}, "post": operation},
                f"/b{evil}": {"get": broken},
            },
        })
    )
    return "spec.json"


def test_no_word_of_a_spec_steers_a_terminal_or_adds_a_line() -> None:
    name = spec()
    for words in (["init", name], ["check"], ["check", name], ["tools"], ["check", "--lock"]):
        said = typed(*words)
        assert said.exit_code == 0, said.output
        assert is_plain(said.output), words
        assert not any(line.startswith("ok: good") for line in said.output.splitlines())


def test_no_mistake_repeats_what_steers_a_terminal() -> None:
    name = spec()
    evil = json.dumps(EVIL[:5])
    Path("capabilities.yaml").write_text(
        f"signoff: 1\nupstreams:\n  up:\n    openapi: {name}\n    base_url: {evil}\n    {evil}: 5\n"
        f"    operations: {{{evil}: {{name: {evil}}}}}\nusers: [{{id: {evil}}}]\n"
    )
    for command in ("check", "tools", "serve"):
        said = typed(command)
        assert said.exit_code == 1
        assert is_plain(said.output)


def answering(text: str) -> Callable[..., Any]:
    async def called(*_: Any, **__: Any) -> CallOutcome:
        return CallOutcome(
            state="done", text=text, structured=None, content=({"type": "text", "text": text},)
        )

    return called


def test_no_answer_of_an_upstream_steers_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "call_tool", answering(f"one\n\ttwo {EVIL}\r\nthree"))

    assert typed("call", "look").stdout == (
        "one\n\ttwo \\u001b[2J\\u0007\\u202e\\u009b31m\\u200b\\ufeff\\u0000\nthree\n"
    )
    raw = json.loads(typed("call", "look", "--raw").stdout)
    assert raw[0]["text"] == f"one\n\ttwo {EVIL}\r\nthree"


@pytest.mark.parametrize(
    ("error", "code"), [(BadInputError(f"a{EVIL}", "b"), 1), (CannotRunError(f"a{EVIL}\nb"), 3)]
)
def test_no_failure_steers_a_terminal(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def failing() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        failures.run(failing())
    assert ended.value.code == code
    assert capsys.readouterr().err == f"a{visible_lines(EVIL)}\nb\n"


def test_the_sdk_does_not_talk_about_tools_that_are_not_listed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done = answering("done")

    async def warning(*_: Any, **__: Any) -> CallOutcome:
        logging.getLogger("client").warning("Tool look not listed by server")
        return await done()

    monkeypatch.setattr(call, "call_tool", warning)
    assert typed("call", "look").output == "done\n"
    assert caplog.records == []
