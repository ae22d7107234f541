"""Options that several commands share."""

from pathlib import Path
from typing import Final

import click

from signoff.settings import Settings

CONFIG: Final = Path("capabilities.yaml")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=CONFIG,
    show_default=True,
    help="The catalogue.",
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: Settings().data_dir,
    show_default=".signoff, or SIGNOFF_DATA_DIR",
    help="Where everything durable is kept.",
)
as_json = click.option("--json", "json_", is_flag=True, help="Print one JSON document.")
