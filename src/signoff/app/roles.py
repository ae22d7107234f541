"""The roles of a process: everything (`all`), the sidecar alone, or the gate alone (`mcp`).

Owns what a catalogue and a data directory must be for a role, and the sentence when they are not.
"""

from collections.abc import Callable, Mapping
from typing import Final, cast

from signoff.app.errors import BadInputError, CannotRunError
from signoff.app.store import Store
from signoff.canonical import Json
from signoff.catalog.model import EMBEDDED, Catalogue
from signoff.desk.admin import AdminError, AdminHandler
from signoff.settings import Role
from signoff.storage.role import load_role, settle_role

__all__ = ["Role", "belonging_elsewhere", "fitting", "refusing", "role_of", "settled_role"]

_OF_PEOPLE: Final = frozenset({"login", "users", "clients", "hosts", "consents"})
_WHOSE: Final[Mapping[Role, str]] = {
    "all": "a signoff that has everything in one process",
    "sidecar": "a sidecar",
    "mcp": "a gate in a process of its own",
}


def fitting(catalogue: Catalogue, role: Role) -> tuple[str, ...]:
    """Return notes on a catalogue that a process of this role can serve.

    Raises:
        BadInputError: it cannot; says what to write or how to start.
    """
    issuer = catalogue.server.approvals.issuer
    if role == "mcp" and issuer == EMBEDDED:
        raise BadInputError(
            "--role mcp asks a sidecar elsewhere: name it with "
            "`approvals: {issuer: https://…, client_id: …}`, or start without --role"
        )
    if role != "mcp" and issuer != EMBEDDED:
        raise BadInputError(
            f"approvals.issuer names {issuer}, so approvals are asked for there: start this with "
            "--role mcp, or take approvals.issuer out"
        )
    if role == "sidecar" and not catalogue.users:
        raise BadInputError("users: a sidecar asks people, and the catalogue names none")
    if role == "mcp" and issuer == catalogue.server.public_url:
        raise BadInputError(
            f"approvals.issuer and server.public_url are both {issuer}: the gate has an address of "
            "its own"
        )
    if role == "sidecar" and (catalogue.upstreams or len(catalogue.tools)):
        return ("a sidecar calls no upstream: what the catalogue says of them counts for nothing",)
    return ()


async def settled_role(store: Store, role: Role) -> None:
    """Make the role that of the data directory, which never changes.

    Raises:
        CannotRunError: it is the directory of another role.
    """
    found = await settle_role(store.database, role)
    if found != role:
        theirs = _WHOSE[cast("Role", found)]
        raise CannotRunError(
            f"{store.data_dir} is the data directory of {theirs}: start it with --role {found}, or "
            "choose another --data-dir"
        )


async def role_of(store: Store) -> Role:
    """Return the role of a data directory."""
    return cast("Role", await load_role(store.database) or "all")


def belonging_elsewhere(role: Role, issuer: str) -> Callable[[str], str | None]:
    """Return what says of an operation to whose data directory it belongs, if not to this one."""
    gates = "run this on the data directory of `signoff serve --role mcp`"
    sidecars = "run this there, on the data directory of `signoff serve --role sidecar`"

    def belongs(operation: str) -> str | None:
        group = operation.partition(".")[0]
        match role:
            case "sidecar" if group == "calls":
                return f"calls are kept by the gate that asks for them: {gates}"
            case "sidecar" if group == "gate":
                return f"this is the data directory of a sidecar, and the gate has the key: {gates}"
            case "mcp" if group in _OF_PEOPLE:
                return f"people, sign-in and clients are at the sidecar, {issuer}: {sidecars}"
            case "all" if group == "gate":
                return (
                    "the gate of this signoff is in the same process and needs no key: name the "
                    "data directory of `signoff serve --role mcp` with --data-dir"
                )
            case _:
                return None

    return belongs


def refusing(why: str) -> AdminHandler:
    """Return an operation that is not done here."""

    async def refuse(_: Mapping[str, Json]) -> Json:
        raise AdminError(why)

    return refuse
