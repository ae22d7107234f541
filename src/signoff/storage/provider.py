"""The authorization server's stores over one database."""

from signoff.oauth.stores import Stores
from signoff.sealed import Sealer
from signoff.storage.callbacks import SqliteCallbacks
from signoff.storage.refresh_tokens import SqliteRefreshTokens
from signoff.storage.revocations import SqliteRevocations
from signoff.storage.settlements import SqliteSettlements
from signoff.storage.sqlite import Database
from signoff.storage.user_codes import SqliteUserCodes


def provider_stores(database: Database, sealer: Sealer) -> Stores:
    """Return what `oauth.server.authorization_server` keeps its state in."""
    return Stores(
        callbacks=SqliteCallbacks(database, sealer),
        refresh_tokens=SqliteRefreshTokens(database, sealer),
        revocations=SqliteRevocations(database),
        settlements=SqliteSettlements(database),
        user_codes=SqliteUserCodes(database),
    )
