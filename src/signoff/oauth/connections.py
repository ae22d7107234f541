"""What a person has let act for them, as that person sees it: one connection for each consent.

Owns the record and the port of the store. A connection is a consent seen from the other side:
taken back, its refresh tokens, its codes and its access tokens end with it, all at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

TakenBack: TypeAlias = Literal["now", "before", "unknown"]
"""`before`: it had ended already. `unknown`: there is none with this id, or it is another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One application that may act for one person.

    `name` is a claim unless the operator made the client (`vouched`). `redirect_uri` is where the
    answer of the sign-in went, None for a device that showed a code and for an application that
    asked on a card of its own, `approval_id`.
    """

    id: str
    client_id: str
    user_id: str
    name: str
    vouched: bool
    redirect_uri: str | None
    scope: str
    resource: str
    since: datetime
    last_used_at: datetime | None
    approval_id: str | None = None


class ConnectionStore(Protocol):
    """Connections at rest."""

    async def of(self, user_id: str | None) -> Sequence[Connection]:
        """Return what still has access, the newest first; None: of everybody."""
        ...

    async def take_back(self, connection_id: str, *, user_id: str | None, by: str) -> TakenBack:
        """End it with all it gave, with an audit row; `user_id` None: whosever it is.

        A crash after it: nothing that came from it opens anything any more.
        """
        ...

    async def used(self, connection_id: str) -> None:
        """Note that it acts now. Exact to a few minutes, and never a reason to refuse it."""
        ...
