"""How a command fails: the two kinds of failure a user can mend.

Knows nothing else. `cli` maps them to exit codes: 1 for the user's input, 3 for this machine.
"""


class BadInputError(Exception):
    """What the user gave is wrong; each line says what and how to mend it. Exit code 1."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class CannotRunError(Exception):
    """It cannot run here now; one sentence says what to do. Exit code 3."""
