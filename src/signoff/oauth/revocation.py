"""POST /oauth2/introspect and /oauth2/revoke (RFC 7662, RFC 7009), for our signed tokens.

Owns who may ask about a token, and what is told. A token that is no longer good for whatever
reason is `active: false`, and a token that is not the client's is revoked for nobody: neither
answer tells why.
"""

from datetime import datetime
from typing import Protocol


class Revocations(Protocol):
    """Tokens that were taken back, at rest."""

    async def revoke(self, jti: str, *, expires_at: datetime, by: str) -> None:
        """Take a token back; doing it twice is doing it once."""
        ...

    async def revoke_of(self, approval_id: str, *, client_id: str) -> None:
        """Take back what a redeemed approval of this client gave: its id was used again."""
        ...

    async def standing(self, jti: str, *, sub: str, client_id: str) -> bool:
        """Tell whether nobody took the token back or switched off whom it names."""
        ...

    async def forget(self) -> None:
        """Forget tokens that have expired anyway. Call hourly."""
        ...
