"""Parts that the gate's tests share: a small catalogue, callers and calls, all plain values."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from signoff.canonical import Json
from signoff.catalog.model import (
    ApprovalRule,
    Approver,
    Catalogue,
    Policy,
    Retry,
    Risk,
    ServerConfig,
    ToolSpec,
    Upstream,
    User,
)
from signoff.catalog.wire import Body, Parameter
from signoff.gate.call import Call, State
from signoff.identity import Caller, ClientInfo

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
ISSUER = "http://localhost:8420"
CATALOGUE_DIGEST = "sha-256:" + "c" * 64
INFO = ClientInfo(name="claude-code", version="2.1")
ALICE = Caller(kind="local", issuer="local", client_id="local:1", sub="alice")
BOB = Caller(kind="local", issuer="local", client_id="local:2", sub="bob")
MACHINE = Caller(kind="oauth", issuer=ISSUER, client_id="nightly-batch")
ARGUMENTS: Mapping[str, Json] = {"amount": 25, "to_account": "savings"}

PAY = ToolSpec(
    name="pay",
    title="Pay",
    description="Pays.",
    upstream="bank",
    method="POST",
    path="/pay",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["amount", "to_account"],
        "properties": {
            "amount": {"type": "number", "exclusiveMinimum": 0},
            "to_account": {"type": "string", "minLength": 1},
            "pin": {"type": "string"},
        },
    },
    body=Body(
        kind="members",
        required=True,
        members={"amount": "amount", "to_account": "to_account", "pin": "pin"},
        secrets=frozenset({("pin",)}),
    ),
    secret_arguments=frozenset({"pin"}),
    risk=Risk.HIGH,
    approval=ApprovalRule(title="Pay {amount} EUR to {to_account}"),
)
READ = ToolSpec(
    name="balance",
    title="Balance",
    description="Reads.",
    upstream="bank",
    method="GET",
    path="/accounts/{account}",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["account"],
        "properties": {"account": {"type": "string"}},
    },
    parameters=(
        Parameter(
            argument="account",
            name="account",
            place="path",
            style="simple",
            explode=False,
            required=True,
        ),
    ),
    risk=Risk.LOW,
    risk_reason="GET",
    read_only=True,
    destructive=False,
)
KEYED = replace(PAY, name="pay_keyed", retry=Retry(kind="idempotency_key"))
NOTE = replace(PAY, name="note", risk=Risk.LOW, risk_reason="rule")
BY_BOB = replace(
    PAY,
    name="pay_by_bob",
    approval=ApprovalRule(approver=Approver(any_of=("bob", "${caller.sub}"), not_caller=True)),
)
USERS = {user_id: User(id=user_id, name=user_id.title()) for user_id in ("alice", "bob")}


def catalogue(
    *,
    base_url: str = "http://127.0.0.1:9",
    tools: tuple[ToolSpec, ...] = (PAY, READ, KEYED, NOTE, BY_BOB),
    policy: Policy | None = None,
    timeout_s: float = 5.0,
    digest: str = CATALOGUE_DIGEST,
    max_tools: int = 1_000,
) -> Catalogue:
    """Return a catalogue whose bank stands at `base_url`."""
    return Catalogue(
        digest=digest,
        server=ServerConfig(public_url=ISSUER, max_tools=max_tools),
        tools=tools,
        upstreams={"bank": Upstream(name="bank", base_url=base_url, timeout_s=timeout_s)},
        policy=policy or Policy(),
        users=USERS,
    )


def new_call(call_id: str = "call_1", **changes: object) -> Call:
    """Return a call that has just been opened."""
    call = Call(
        id=call_id,
        state=State.OPENING,
        fence=0,
        attempts=0,
        request_key=b"key of " + call_id.encode(),
        caller=ALICE,
        tool="pay",
        title="Pay 25 EUR to savings",
        approvers=("alice",),
        acr="session",
        audience=f"{ISSUER}/gate",
        digest="sha-256:" + "d" * 64,
        catalogue_digest=CATALOGUE_DIGEST,
        opened_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
        approve_at=f"{ISSUER}/approvals",
    )
    return replace(call, **changes)  # pyright: ignore[reportArgumentType] — a test names fields
