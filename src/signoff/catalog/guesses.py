"""What an operation's names say of its risk, for a first catalogue.

Owns the words. A guess is made from a method, a path or an operation's name, and can only raise a
risk; it says what it was made from. What a spec explains in sentences is not read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from signoff.catalog.model import Risk
from signoff.catalog.openapi.compiler import Indexed
from signoff.catalog.words import words_of

_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")
_WHOLE: Final = re.compile(r"\{([^{}]*)\}")
_FORMATS: Final = frozenset({"json", "xml", "csv", "php", "html"})
_GROUPS: Final[Mapping[str, frozenset[str]]] = {
    "money": frozenset({
        "balance", "bid", "bill", "billing", "buy", "capture", "cash", "charge", "checkout",
        "credit", "debit", "deposit", "disburse", "disbursement", "donate", "donation", "fund",
        "invoice", "loan", "order", "pay", "payment", "payout", "payroll", "price", "purchase",
        "refund", "reimburse", "reimbursement", "remit", "remittance", "sell", "subscription",
        "tip", "topup", "trade", "transfer", "wallet", "wire", "withdraw", "withdrawal",
    }),
    "e-mail": frozenset({
        "announcement", "broadcast", "campaign", "email", "fax", "invitation", "invite", "mail",
        "message", "newsletter", "notification", "notify", "reply", "send", "sms", "tweet",
    }),
    "delete": frozenset({
        "archive", "clear", "delete", "destroy", "discard", "drop", "erase", "flush", "kill",
        "prune", "purge", "remove", "shred", "terminate", "trash", "truncate", "uninstall", "void",
        "wipe",
    }),
    "admin": frozenset({
        "acl", "admin", "ban", "certificate", "collaborator", "credential", "firewall", "grant",
        "impersonate", "key", "member", "mfa", "otp", "owner", "ownership", "passcode",
        "passphrase", "password", "passwd", "permission", "policy", "privilege", "revoke", "role",
        "secret", "sso", "sudo", "suspend", "token", "webhook",
    }),
    "publish": frozenset({
        "announce", "deploy", "deployment", "launch", "merge", "promote", "publish", "release",
        "rollback", "rollout", "share", "ship", "visibility",
    }),
}  # fmt: skip
_SENSITIVE: Final = frozenset({
    "admin", "credential", "impersonate", "key", "otp", "passcode", "passphrase", "password",
    "passwd", "secret", "sudo", "token",
})  # fmt: skip
"""Reading a balance or a message harms nobody by itself; reading these may."""
_JOINED: Final = re.compile(
    r".+(?:password|passphrase|secret|token|credential)|(?:api|access|auth|private|master)key"
)
_ACTS: Final = frozenset({
    "activate", "approve", "attach", "ban", "block", "cancel", "capture", "charge", "clear",
    "confirm", "deactivate", "delete", "deploy", "destroy", "disable", "disconnect", "drop",
    "enable", "erase", "exec", "execute", "flush", "impersonate", "invite", "invoke", "kill",
    "launch", "logout", "merge", "pay", "poweroff", "portforward", "promote", "provision", "proxy",
    "publish", "purge", "reboot", "refund", "regenerate", "reject", "remove", "reset", "restart",
    "resume", "revoke", "rollback", "rotate", "run", "send", "shutdown", "signout", "start", "stop",
    "submit", "suspend", "terminate", "transfer", "trigger", "truncate", "uninstall", "unpublish",
    "unsubscribe", "void", "wipe", "withdraw",
})  # fmt: skip
"""Where a path of a read ends in one of these, it may be no read."""
_ONLY_ALONE: Final = frozenset({
    "block", "capture", "charge", "merge", "proxy", "run", "start", "stop", "transfer", "trigger",
})  # fmt: skip
"""With a word behind them these are things: `merge_requests`, `run-logs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """Why an operation should ask. `is_raised`: its method alone would not have made it."""

    operation: str
    group: str
    word: str
    is_raised: bool

    def __str__(self) -> str:
        raised = "raised to high" if self.is_raised else "high, as its method says"
        return f"{self.operation}: {self.group}, for the word {self.word!r}: {raised}"


def guess(indexed: Indexed) -> Guess | None:
    """Return why the operation should ask, None where nothing says so."""
    label, card = indexed.operation.label, indexed.card
    is_low = card.risk is Risk.LOW
    path = _PLACEHOLDER.sub("", card.path)
    names = tuple(dict.fromkeys(_words(card.method, card.operation_id or "", path)))
    for group, words in _GROUPS.items():
        for word in names:
            if word in words and (not is_low or word in _SENSITIVE):
                return Guess(operation=label, group=group, word=word, is_raised=is_low)
    if not is_low:
        return None
    if word := next((word for word in names if _JOINED.fullmatch(word)), None):
        return Guess(operation=label, group="admin", word=word, is_raised=True)
    if word := _act(card.path):
        return Guess(operation=label, group="no plain read", word=word, is_raised=True)
    return None


def _words(method: str, *texts: str) -> Iterator[str]:
    if method == "DELETE":
        yield "delete"
    # A summary explains, and would raise far too much: names and paths say what is acted on.
    for text in texts:
        yield from words_of(text)


def _act(path: str) -> str | None:
    """Return the verb that a path ends in, as `/jobs/{id}/run` does and `/runs/{id}` does not."""
    steps = [step for step in path.split("/") if step]
    while steps and (whole := _WHOLE.fullmatch(steps[-1])) and not whole[1].lower().endswith("id"):
        steps.pop()  # `/pods/{name}/proxy/{path}`
    chunks = re.split(r"[.:]", steps[-1]) if steps else [""]
    if len(chunks) > 1 and chunks[-1].lower() in _FORMATS:
        chunks.pop()
    parts = _PART.findall(chunks[-1])
    word = parts[0].lower() if parts else ""
    return word if word in _ACTS and (len(parts) == 1 or word not in _ONLY_ALONE) else None
