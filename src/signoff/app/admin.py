"""Asks for an operation: the server that owns the data directory, or the store itself.

Owns the choice between the two. What an operation does stands in `operations.py`.
"""

from collections.abc import Mapping
from pathlib import Path

from signoff.app.address import DEFAULT_PORT, at_port
from signoff.app.domain import over
from signoff.app.errors import BadInputError
from signoff.app.inspect import catalogue_at
from signoff.app.operations import Operations
from signoff.app.roles import role_of
from signoff.app.store import opened, owned, prepared
from signoff.canonical import Json
from signoff.desk.admin import AdminClient, AdminError, NoOwnerError
from signoff.settings import Settings


async def ask(data_dir: Path, config: Path, operation: str, parameters: Mapping[str, Json]) -> Json:
    """Run one operation and return its JSON.

    Raises:
        BadInputError: what was asked cannot be.
        CannotRunError: the data directory cannot be used.
    """
    if not data_dir.is_dir():
        raise BadInputError(
            f"{data_dir} is no data directory: start signoff once, or name it with --data-dir"
        )
    try:
        return await AdminClient(data_dir).call(operation, parameters)
    except NoOwnerError:
        return await _alone(data_dir, config, operation, parameters)
    except AdminError as error:
        raise BadInputError(str(error)) from error


async def _alone(
    data_dir: Path, config: Path, operation: str, parameters: Mapping[str, Json]
) -> Json:
    catalogue = at_port(catalogue_at(config, data_dir), DEFAULT_PORT)
    directory = prepared(data_dir)
    lock = owned(directory)
    try:
        async with opened(directory, Settings()) as store:
            domain = await over(store, catalogue)
            operations = Operations(domain, role=await role_of(store))
            try:
                return await operations.handlers()[operation](parameters)
            except AdminError as error:
                raise BadInputError(str(error)) from error
    finally:
        lock.release()
