"""What a broken exchange means, and the words for it.

Owns that no words of the other side are passed on, and no address: only the operating system's and
TLS's own reasons. Pure.
"""

import os
import ssl
from collections.abc import Mapping
from typing import Final, cast

from signoff.upstream.exchange import ExchangeError, Fault
from signoff.upstream.sent import NotSent, Unknown

_FAULTS: Final[Mapping[Fault, str]] = {
    "connect": "the connection was not made",
    "certificate": "the upstream wants a client certificate, or another than it was shown",
    "request": "the request breaks HTTP's rules",
    "answer": "the connection was closed, or the answer breaks HTTP's rules",
    "closed": "the connection was closed before the answer ended",
}


_CERTIFICATE_ALERTS: Final = frozenset({
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
})
"""Alerts of the other side (RFC 8446 §6.2); what we find wrong with it has other names."""


def is_about_certificate(error: Exception) -> bool:
    """Say whether the other side ended the handshake over the certificate it was shown, or none."""
    causes = (error.__cause__, *cast("tuple[object, ...]", error.args))
    return any(
        isinstance(cause, ssl.SSLError) and cause.reason in _CERTIFICATE_ALERTS for cause in causes
    )


def failed(error: ExchangeError, *, left: bool, status: int | None, name: str) -> NotSent | Unknown:
    """Say what a failure means; `left` tells whether a byte of the request may have left."""
    reason = f"{name}: {_FAULTS[error.fault]}"
    if error.fault == "certificate" and status is None and not error.reused:
        # RFC 8446 §4.4.2.4: the handshake failed, so nobody behind TLS was given the request, even
        # where it was on its way before that was known. A kept connection had a good one before.
        return NotSent(reason=reason)
    if not left:
        return NotSent(reason=f"{reason}{_cause(error)}", transient=error.fault == "connect")
    stale = error.reused and error.fault in ("closed", "answer") and status is None
    return Unknown(reason=reason + after(status), stale=stale)


def after(status: int | None) -> str:
    """Return how far an answer had come."""
    return "" if status is None else f", after status {status}"


def _cause(error: ExchangeError) -> str:
    """Return the operating system's or TLS's words for a connection that was not made."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f" (certificate: {seen.verify_message})"
        if isinstance(seen, OSError) and seen.strerror:
            # asyncio adds the address to the kernel's words; an assistant is not told it.
            words = os.strerror(seen.errno) if seen.errno and seen.errno > 0 else seen.strerror
            return f" ({words.lower()})"
        seen = seen.__cause__ or seen.__context__
    return ""
