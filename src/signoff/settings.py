"""What the environment says: the only reader of it.

Owns names and defaults of `SIGNOFF_*` variables, and hands the rest of the environment on as one
mapping for `${env:NAME}` references. Only `app` and `cli` import this.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from signoff.telemetry import LogFormat

Role: TypeAlias = Literal["all", "mcp", "sidecar"]


class Settings(BaseSettings):
    """Settings of this process. Flags of the command line win over them."""

    model_config = SettingsConfigDict(env_prefix="SIGNOFF_", frozen=True, extra="ignore")

    data_dir: Path = Path(".signoff")
    seal_key: SecretStr | None = None
    """The 32-byte master key, base64url or hex; without it `DATA_DIR/seal.key` is used."""
    role: Role = "all"
    log_level: str = "INFO"
    log_format: LogFormat = "text"
    failpoint: str | None = None
    """For tests of crash recovery only: the step at which this process kills itself."""


def environment() -> Mapping[str, str]:
    """Return the variables that `${env:NAME}` in the operator's file may name."""
    return dict(os.environ)
