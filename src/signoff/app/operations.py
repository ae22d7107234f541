"""What the commands may ask of a data directory, by name; the same with and without a server.

Owns the table of operations and their JSON. None of them approves.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast

from signoff.app.client_operations import ClientOperations
from signoff.app.consent_operations import ConsentOperations
from signoff.app.domain import Domain
from signoff.app.gate_operations import GateOperations
from signoff.app.host_operations import HostOperations
from signoff.app.roles import Role, belonging_elsewhere, refusing
from signoff.approvals.service import MAX_REASON
from signoff.audit import Broken, Intact
from signoff.canonical import Json
from signoff.desk.admin import AdminError, AdminHandler
from signoff.gate.call import Call, Event, Facts, State
from signoff.gate.pipeline import Gate
from signoff.gate.ports import Moved
from signoff.oauth.user_codes import UserCodeError, UserCodes
from signoff.storage.audit_log import HEAD_FILE, read_head, tail, verify_log
from signoff.storage.connections import SqliteConnections
from signoff.storage.operator import OPERATOR, OperatorCalls
from signoff.storage.sessions import DisabledUserError
from signoff.storage.user_codes import SqliteUserCodes
from signoff.tokens.keys import TokenError

_TAIL: Final = 20

Parameters = Mapping[str, Json]


class Operations:
    """The operations over the domain of an open store."""

    def __init__(self, domain: Domain, *, role: Role, gate: Gate | None = None) -> None:
        """`gate` ends at once what a person or client has not sent; without a server there is
        nothing running, and the guards of every send refuse it later.
        """
        self._domain, self._gate = domain, gate
        self._role: Role = role
        self._end_calls_of = None if gate is None else gate.end_calls_of
        self.catalogue, self.database = domain.catalogue, domain.store.database
        self.clients, self.people, self.keyring = domain.clients, domain.people, domain.keyring
        self.sessions, self.reach = domain.sessions, domain.reach
        self.calls = OperatorCalls(self.database, domain.store.sealer, domain.calls)

    def handlers(self) -> Mapping[str, AdminHandler]:
        """Return the operations by name; those of another role say where to ask for them."""
        elsewhere = belonging_elsewhere(self._role, self.catalogue.server.approvals.issuer)
        return {
            name: refusing(why) if (why := elsewhere(name)) is not None else handler
            for name, handler in self._handlers().items()
        }

    def _handlers(self) -> Mapping[str, AdminHandler]:
        return {
            "login": self.login,
            "calls.list": self.list_calls,
            "calls.show": self.show_call,
            "calls.deny": self.deny_call,
            "calls.address": self.address,
            **ClientOperations(
                self.clients, self.people, end_calls_of=self._end_calls_of
            ).handlers(),
            **HostOperations(self._domain.hosts, end_calls_of=self._end_calls_of).handlers(),
            **ConsentOperations(SqliteConnections(self.database)).handlers(),
            "users.list": self.list_users,
            "users.disable": self.disable_user,
            "users.enable": self.enable_user,
            "users.code": self.set_user_code,
            "audit.verify": self.verify_audit,
            "audit.tail": self.tail_audit,
            **GateOperations(self._domain.gate_keys).handlers(),
        }

    async def login(self, parameters: Parameters) -> Json:
        """Make a sign-in link for `user`, or for the only user there is."""
        users = self.catalogue.users
        user = parameters.get("user")
        if user is None:
            if len(users) > 1 and self.catalogue.server.local_user is None:
                raise AdminError(f"say who signs in: signoff login {'|'.join(users)}")
            user = self.catalogue.server.local_user or next(iter(users), None)
        known = self._user(user)
        try:
            code = await self.sessions.create_login_code(known)
        except DisabledUserError as error:
            raise AdminError(str(error)) from error
        return {"user": known, "url": f"{self.catalogue.server.public_url}/login/{code}"}

    async def address(self, _: Parameters) -> Json:
        """Say where tools are called."""
        return {"url": f"{self.catalogue.server.public_url}/mcp"}

    async def list_calls(self, parameters: Parameters) -> Json:
        found = await self.calls.recent(every=parameters.get("every") is True)
        return [_call(call) for call in found]

    async def show_call(self, parameters: Parameters) -> Json:
        return _call(await self._call(parameters))

    async def deny_call(self, parameters: Parameters) -> Json:
        call = await self._call(parameters)
        reason = parameters.get("reason")
        text = reason.strip()[:MAX_REASON] if isinstance(reason, str) else None
        if self._role == "mcp":
            # The card is elsewhere: the gate takes its request back there, now or when it can.
            why = f"{OPERATOR} denied it" + (f": {text}" if text else "")
            ended, state = await self._taken_back(call, why=why), "withdrawn"
        else:
            denied = await self.calls.deny(call.id, reason=text or None)
            ended, state = denied is not None, "denied"
        if not ended:
            raise AdminError(f"{call.id} is {call.state}: there is nothing left to deny")
        return {"id": call.id, "state": state}

    async def _taken_back(self, call: Call, *, why: str) -> bool:
        if self._gate is not None:
            return await self._gate.take_back(call.id, why=why)
        if call.state not in (State.WAITING, State.AUTHORIZED):
            return False
        swap = await self._domain.calls.move(call, Event.WITHDRAW, Facts(note=why))
        return isinstance(swap, Moved)

    async def list_users(self, parameters: Parameters) -> Json:
        del parameters
        disabled = await self.people.disabled()
        signed_in = await self.reach.signed_in(self.catalogue.users.keys())
        return [
            {
                "id": user.id,
                "name": user.name,
                "email": user.email,
                "admin": user.admin,
                "disabled": user.id in disabled,
                "signed_in": user.id in signed_in,
            }
            for user in self.catalogue.users.values()
        ]

    async def disable_user(self, parameters: Parameters) -> Json:
        user = self._user(parameters.get("user"))
        if not await self.people.disable(user, by=OPERATOR):
            raise AdminError(f"{user} is disabled already")
        if self._end_calls_of is not None:
            await self._end_calls_of(user)
        return {}

    async def enable_user(self, parameters: Parameters) -> Json:
        user = self._user(parameters.get("user"))
        if not await self.people.enable(user, by=OPERATOR):
            raise AdminError(f"{user} is not disabled")
        return {}

    async def set_user_code(self, parameters: Parameters) -> Json:
        """Set the code without which clients that ask for one cannot prompt this user."""
        user = self._user(parameters.get("user"))
        codes = UserCodes(SqliteUserCodes(self.database))
        code = parameters.get("code")
        if code is None:
            if not await codes.remove(user, by=OPERATOR):
                raise AdminError(f"{user} has no code")
            return {}
        try:
            await codes.choose(user, str(code), by=OPERATOR)
        except UserCodeError as error:
            raise AdminError(str(error)) from error
        return {}

    async def verify_audit(self, parameters: Parameters) -> Json:
        del parameters
        try:
            head = read_head(self.database.path.parent / HEAD_FILE, keys=self.keyring.public)
        except TokenError as error:
            return {"intact": False, "text": f"the signed head cannot be trusted: {error}"}
        match await verify_log(self.database.fetch_all, head=head):
            case Intact(rows=rows, head=found):
                signed = "no head is signed yet" if head is None else f"signed at row {head.seq}"
                return {
                    "intact": True,
                    "rows": rows,
                    "head": found.hex(),
                    "text": f"{rows} rows, every one as it was written; {signed}",
                }
            case Broken(seq=seq, reason=reason):
                return {"intact": False, "row": seq, "text": f"row {seq} {reason}"}

    async def tail_audit(self, parameters: Parameters) -> Json:
        lines = parameters.get("lines")
        found = await tail(self.database.fetch_all, lines if isinstance(lines, int) else _TAIL)
        return [cast("dict[str, Json]", json.loads(row.body)) for row in found]

    async def _call(self, parameters: Parameters) -> Call:
        call_id = _text(parameters, "call_id")
        call = await self.calls.find(call_id)
        if call is None:
            raise AdminError(f"there is no call {call_id}: signoff calls list --all")
        return call

    def _user(self, user: Json) -> str:
        if not isinstance(user, str) or user not in self.catalogue.users:
            known = ", ".join(self.catalogue.users) or "none"
            raise AdminError(f"the catalogue has no user {user}; it has {known}")
        return user


def _call(call: Call) -> dict[str, Json]:
    return {
        "id": call.id,
        "state": str(call.state),
        "tool": call.tool,
        "title": call.title,
        "caller": f"{call.caller.client_id} for {call.caller.sub or 'nobody'}",
        "approvers": ", ".join(call.approvers),
        "opened_at": _at(call.opened_at),
        "expires_at": _at(call.expires_at),
        "approve_at": call.approve_at,
        "decided_by": call.decided_by,
        "decided_at": _at(call.decided_at),
        "reason": call.reason,
        "finished_at": _at(call.finished_at),
        "note": call.note,
        "digest": call.digest,
        "repeat_of": call.repeat_of,
    }


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _text(parameters: Parameters, name: str) -> str:
    value = parameters.get(name)
    if not isinstance(value, str):
        raise AdminError(f"{name} is missing")
    return value
