"""Named places at which a test may end the process.

Owns the names. Does nothing unless the composition root passes a callable; reads no environment
and knows no signal.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

Failpoint: TypeAlias = Literal[
    "after_open",  # stored as opening, nobody asked
    "after_ask",  # the authorization server took it, auth_req_id not stored
    "after_redeem",  # the token came, not stored
    "after_authorized",
    "after_claim",
    "after_connect",  # connected, no intent
    "after_intent",  # the intent is stored, no byte sent
    "after_answer",  # the answer was read, not stored
    "after_outcome",  # stored, the authorization server has not heard
]
FAILPOINTS: Final[tuple[Failpoint, ...]] = get_args(Failpoint)

Reach: TypeAlias = Callable[[Failpoint], None]


def pass_by(failpoint: Failpoint) -> None:
    """Do nothing: what the product does at every failpoint."""
    del failpoint


def only_at(name: str, act: Callable[[], None]) -> Reach:
    """Return a hook that acts at the one failpoint called `name`.

    Raises:
        ValueError: there is no such failpoint.
    """
    if name not in FAILPOINTS:
        raise ValueError(f"{name} is not a failpoint; known: {', '.join(FAILPOINTS)}")

    def reach(failpoint: Failpoint) -> None:
        if failpoint == name:
            act()

    return reach
