"""The commands about the key of a gate in a process of its own.

Owns what `signoff gate key` does, with the gate's server running and without. A private key never
leaves the store: only the public ones are shown, to be registered at the sidecar.
"""

from collections.abc import Mapping
from pathlib import Path

from signoff.app.errors import BadInputError
from signoff.app.roles import settled_role
from signoff.app.store import Store, opened, owned, prepared
from signoff.canonical import Json
from signoff.desk.admin import AdminClient, AdminError, AdminHandler, NoOwnerError
from signoff.settings import Settings
from signoff.storage.keys import SqliteKeys
from signoff.tokens.client_keys import ClientKeyError, ClientKeys

Parameters = Mapping[str, Json]


class GateOperations:
    """The operations on the gate's keys."""

    def __init__(self, keys: ClientKeys) -> None:
        self._keys = keys

    def handlers(self) -> Mapping[str, AdminHandler]:
        """Return the operations by name."""
        return {"gate.key": self.key}

    async def key(self, parameters: Parameters) -> Json:
        """Return the public keys, the first made when there is none.

        `new` makes one more, `remove` names one to forget.
        """
        await self._keys.load()
        removed = parameters.get("remove")
        try:
            if isinstance(removed, str):
                await self._keys.remove(removed)
            elif parameters.get("new") is True or not self._keys.newest_first:
                await self._keys.make()
        except ClientKeyError as error:
            raise AdminError(str(error)) from error
        return self._keys.as_json()


async def gate_key(data_dir: Path, parameters: Parameters) -> Json:
    """Ask the gate that owns the data directory, or its store; a new directory becomes a gate's.

    Raises:
        BadInputError: what was asked cannot be.
        CannotRunError: the data directory cannot be used, or is not a gate's.
    """
    try:
        try:
            if data_dir.is_dir():
                return await AdminClient(data_dir).call("gate.key", parameters)
        except NoOwnerError:
            pass
        return await _alone(data_dir, parameters)
    except AdminError as error:
        raise BadInputError(str(error)) from error


async def _alone(data_dir: Path, parameters: Parameters) -> Json:
    directory = prepared(data_dir)
    lock = owned(directory)
    try:
        async with opened(directory, Settings()) as store:
            await settled_role(store, "mcp")
            return await GateOperations(gate_keys(store)).key(parameters)
    finally:
        lock.release()


def gate_keys(store: Store) -> ClientKeys:
    """Return the keys by which a gate proves who it is elsewhere."""
    database = store.database
    return ClientKeys(SqliteKeys(database, store.sealer, "client"), now=database.now)
