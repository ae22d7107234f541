"""The three tools every assistant sees beside the catalogue's: status, withdraw, repeat.

Owns their names, schemas and words. Does nothing itself: `server.py` calls the gate, which checks
that the call belongs to the caller.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from signoff.canonical import Json
from signoff.schema import Validator

BuiltinName: TypeAlias = Literal["call_status", "withdraw_call", "repeat_call"]

CALL_ID_MAX: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """One of the three, as it is listed."""

    name: BuiltinName
    title: str
    description: str
    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool

    @property
    def listed(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": input_schema(),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.read_only,
                "destructiveHint": self.destructive,
                "idempotentHint": self.idempotent,
                "openWorldHint": self.open_world,
            },
        }


def input_schema() -> dict[str, Json]:
    """Return the schema all three share."""
    return {
        "type": "object",
        "properties": {
            "call_id": {
                "type": "string",
                "minLength": 1,
                "maxLength": CALL_ID_MAX,
                "description": "The call_id of the pending or finished call.",
            }
        },
        "required": ["call_id"],
        "additionalProperties": False,
    }


BUILTINS: Final = {
    builtin.name: builtin
    for builtin in (
        Builtin(
            name="call_status",
            title="Status of a call that needs approval",
            description=(
                "Waits for a call that a person must approve, and returns its result once it has "
                "ended. Sends nothing; ask as often as you like, within 24 hours of the end."
            ),
            read_only=True,
            destructive=False,
            idempotent=True,
            open_world=False,
        ),
        Builtin(
            name="withdraw_call",
            title="Withdraw a call that waits for approval",
            description=(
                "Takes back a call that is not decided yet. Its request can then no longer be "
                "approved, and nothing is sent."
            ),
            read_only=False,
            destructive=False,
            idempotent=True,
            open_world=False,
        ),
        Builtin(
            name="repeat_call",
            title="Make a finished call once more, on purpose",
            description=(
                "Asks a person to approve the same call again, with the same arguments. Only for "
                "when the user wants it done a second time; to see how a call ended, use "
                "call_status."
            ),
            read_only=False,
            destructive=True,
            idempotent=False,
            open_world=True,
        ),
    )
}


def builtin_named(name: str) -> BuiltinName | None:
    """Return `name` when it is one of the three."""
    return cast("BuiltinName", name) if name in BUILTINS else None


def validator() -> Validator:
    """Return the compiled schema of their arguments."""
    return Validator(input_schema())
