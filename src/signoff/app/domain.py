"""The domain's objects over an open store; the server and the commands build them alike.

Owns which storage stands behind which port.
"""

from dataclasses import dataclass
from datetime import timedelta

from signoff.app.gate_operations import gate_keys
from signoff.app.store import Store
from signoff.approvals.service import Approvals
from signoff.catalog.model import Catalogue
from signoff.oauth.machine_clients import MachineClients
from signoff.oauth.operator_hosts import OperatorHosts
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.calls import SqliteCalls
from signoff.storage.clients import SqliteClients
from signoff.storage.keys import SqliteKeys
from signoff.storage.operator_hosts import SqliteOperatorHosts
from signoff.storage.people import SqlitePeople
from signoff.storage.sessions import Reach, Sessions
from signoff.tokens.client_keys import ClientKeys
from signoff.tokens.keyring import Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """Everything that has a row somewhere."""

    catalogue: Catalogue
    store: Store
    keyring: Keyring
    gate_keys: ClientKeys
    approvals: Approvals
    calls: SqliteCalls
    client_store: SqliteClients
    clients: MachineClients
    hosts: OperatorHosts
    people: SqlitePeople
    sessions: Sessions
    reach: Reach


async def over(store: Store, catalogue: Catalogue) -> Domain:
    """Build the domain, its signing keys loaded."""
    database, sealer = store.database, store.sealer
    keyring = Keyring(SqliteKeys(database, sealer), now=database.now)
    await keyring.maintain()
    client_store = SqliteClients(database)
    lifetime = timedelta(seconds=catalogue.server.session_lifetime_s)
    return Domain(
        catalogue=catalogue,
        store=store,
        keyring=keyring,
        gate_keys=gate_keys(store),
        approvals=Approvals(SqliteApprovals(database, sealer), database.changes),
        calls=SqliteCalls(database, sealer),
        client_store=client_store,
        clients=MachineClients(
            client_store,
            user_ids=catalogue.users.keys(),
            now=database.now,
            details_types=catalogue.details_types.keys(),
        ),
        hosts=OperatorHosts(
            SqliteOperatorHosts(database), user_ids=catalogue.users.keys(), now=database.now
        ),
        people=SqlitePeople(database),
        sessions=Sessions(database, lifetime=lifetime),
        reach=Reach(database, lifetime=lifetime),
    )
