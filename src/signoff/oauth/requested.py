"""What a backchannel request asks for, one parameter a function.

Owns the meaning and the bounds of each parameter of CIBA Core §7.1 and RFC 8707. Pure:
each function takes what was sent and returns a value or refuses. The order of the checks stands
in `backchannel.py`.
"""

import re
import unicodedata
from datetime import timedelta
from typing import Final

from signoff.approvals.service import Notify
from signoff.oauth.clients import Client
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form
from signoff.oauth.host_tokens import OFFLINE, may_last
from signoff.oauth.profile import Profile

_MAX_MESSAGE: Final = 256
_MAX_NOTIFICATION_TOKEN: Final = 1024
_LEAST_NOTIFICATION_TOKEN: Final = 22  # of 64 characters: 128 bits
_B68: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_MARKS_IN_A_ROW: Final = 2
# Letters and marks that show as nothing: they make two different texts look alike.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
# What a phone would turn into a link: a person must not be led away by a stranger's text.
_LINK: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://|\bwww\.|\b(?:mailto|tel|sms|javascript|data):"
    r"|\b[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}\b",
    re.IGNORECASE,
)


def scope(form: Form, client: Client) -> str:
    """Return the scope: it has `openid` and nothing the client may not have.

    `offline_access` comes with the refresh token grant, and is refused loudly without it.
    """
    wanted = tuple(dict.fromkeys(form.require("scope").split(" ")))
    if "openid" not in wanted:
        raise OAuthError("invalid_scope", "the scope must contain openid")
    if OFFLINE in wanted and not may_last(client):
        raise OAuthError("invalid_scope", "the client may not have access that lasts")
    if not set(wanted) <= {"openid", OFFLINE, *client.scopes}:
        raise OAuthError("invalid_scope", "the client may not have one of these scopes")
    return " ".join(wanted)


def binding_message(form: Form) -> str | None:
    """Return the message: short, one line, visible characters, no link (CIBA Core §7.1)."""
    message = form.get("binding_message")
    if message is None:
        return None
    if len(message) > _MAX_MESSAGE or message != message.strip():
        raise OAuthError("invalid_binding_message", "at most 256 characters, without outer blanks")
    marks = 0
    for character in message:
        category = unicodedata.category(character)
        marks = marks + 1 if category.startswith("M") else 0
        # C*: controls, bidirectional and zero-width; Z*: every blank but the plain one.
        if (category[0] in "CZ" and character != " ") or marks > _MARKS_IN_A_ROW:
            raise OAuthError("invalid_binding_message", "only visible characters on one line")
    if _INVISIBLE.search(message):
        raise OAuthError("invalid_binding_message", "only visible characters on one line")
    if _LINK.search(unicodedata.normalize("NFKC", message)):
        raise OAuthError("invalid_binding_message", "no links and no addresses")
    return message


def expiry(form: Form, profile: Profile) -> timedelta:
    """Return how long the request stays open: a positive integer of seconds, cut to our bound."""
    text = form.get("requested_expiry")
    if text is None:
        return timedelta(seconds=profile.default_expiry_s)
    if not re.fullmatch(r"0*[1-9][0-9]*", text):
        raise OAuthError("invalid_request", "requested_expiry must be a positive integer")
    digits = text.lstrip("0")
    longest = profile.longest_expiry_s
    seconds = longest if len(digits) > len(str(longest)) else min(int(digits), longest)
    return timedelta(seconds=seconds)


def notify(form: Form, client: Client) -> Notify | None:
    """Return how the client is called back: its registered mode, and the token it sent.

    CIBA Core §7.1: at most 1024 characters of RFC 6750, with 128 bits or more.
    """
    mode = client.delivery.mode
    if mode == "poll":
        return None
    token = form.require("client_notification_token")
    if len(token) > _MAX_NOTIFICATION_TOKEN or not _B68.fullmatch(token):
        raise OAuthError("invalid_request", "client_notification_token is not a bearer token")
    if len(token) < _LEAST_NOTIFICATION_TOKEN:
        raise OAuthError("invalid_request", "client_notification_token must have 128 bits")
    return Notify(mode=mode, token=token)


def acr(form: Form, profile: Profile) -> str:
    """Return the strength asked for: the first of `acr_values` that can be had."""
    wanted = (form.get("acr_values") or profile.acr_values[0]).split()
    for value in wanted:
        if value in profile.acr_values:
            return value
    raise OAuthError("invalid_request", "acr_values names no strength that this server has")


def resource(form: Form, client: Client, profile: Profile) -> str:
    """Return the one audience of the token (RFC 8707), never the assistants' own for the gate."""
    if len(form.resources) > 1:
        raise OAuthError("invalid_target", "a token has one audience: name one resource")
    if client.role == "gate":
        # What the operator gave the gate elsewhere, whose catalogue is not known here.
        allowed = {profile.gate_audience, *profile.gate_audiences, *client.audiences}
        allowed -= profile.host_resources
        default = profile.gate_audience
    else:
        allowed = set(client.audiences)
        default = client.audiences[0] if client.audiences else profile.default_audience
    if not form.resources:
        return default
    if form.resources[0] not in allowed:
        raise OAuthError("invalid_target", "the client may not have a token for this resource")
    return form.resources[0]
