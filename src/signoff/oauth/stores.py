"""What the authorization server keeps beside approvals, clients and keys."""

from dataclasses import dataclass

from signoff.oauth.callbacks import CallbackStore
from signoff.oauth.host_tokens import RefreshStore
from signoff.oauth.outcome import Settlements
from signoff.oauth.revocation import Revocations
from signoff.oauth.user_codes import UserCodeStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """One port for each; `storage.provider` makes them over one database."""

    callbacks: CallbackStore
    refresh_tokens: RefreshStore
    revocations: Revocations
    settlements: Settlements
    user_codes: UserCodeStore
