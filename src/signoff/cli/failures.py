"""Exit codes: 0 done, 1 the user's input is wrong, 2 usage, 3 cannot run here.

Owns the one mapping from failures to codes and words on stderr.
"""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from signoff.app.errors import BadInputError, CannotRunError
from signoff.cli.tables import note, visible_lines

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; end the process with its exit code and its words when it fails."""
    try:
        return asyncio.run(work)
    except BadInputError as error:
        for line in error.lines:
            note(visible_lines(line))
        sys.exit(1)
    except CannotRunError as error:
        note(visible_lines(str(error)))
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)
