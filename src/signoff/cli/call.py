"""`signoff call`: calls a tool as an assistant would, and shows what an assistant sees."""

import sys
from pathlib import Path

import click

from signoff.app.call import call_tool
from signoff.cli.failures import run
from signoff.cli.options import data_dir_option
from signoff.cli.tables import document, note, out, visible, visible_lines
from signoff.telemetry import quiet_client


@click.command()
@click.argument("tool")
@click.option("--arg", "words", multiple=True, metavar="NAME=VALUE", help="One argument; repeat.")
@click.option("--json", "arguments", metavar="OBJECT", help="All arguments as one JSON object.")
@click.option("--url", help="Where the tools are.  [default: at the server on DATA_DIR]")
@click.option(
    "--token-file", type=click.Path(path_type=Path), help="[default: DATA_DIR/local-token]"
)
@click.option(
    "--wait/--no-wait",
    default=True,
    help="Follow it to its end; without, return the first pending result.",
)
@click.option("--raw", is_flag=True, help="Print the result as one JSON document.")
@data_dir_option
def call(
    tool: str,
    words: tuple[str, ...],
    arguments: str | None,
    url: str | None,
    token_file: Path | None,
    data_dir: Path,
    *,
    wait: bool,
    raw: bool,
) -> None:
    """Call TOOL, stream its status, print its result."""
    quiet_client()
    outcome = run(
        call_tool(
            tool,
            words,
            document=arguments,
            url=url,
            data_dir=data_dir,
            token_file=token_file or data_dir / "local-token",
            on_status=lambda line: note(visible(line)),
            wait=wait,
        )
    )
    if raw or outcome.structured is not None:
        out(
            document(
                outcome.structured if outcome.structured is not None else list(outcome.content)
            )
        )
        # What stands beside the answer: that it was cut, and how to go on.
        for block in outcome.content[1:]:
            if block.get("type") == "text":
                note(visible_lines(str(block["text"])))
    else:
        out(visible_lines(outcome.text))  # --raw has every character, in JSON
    if outcome.state == "failed":
        sys.exit(1)
