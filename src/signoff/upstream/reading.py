"""An answer off the wire, made fit to be looked at: decompressed, credentials out, cut.

Owns the order of these steps. Pure.
"""

from collections.abc import Sequence

from signoff.upstream.exchange import Incoming
from signoff.upstream.redact import decoded, redacted, shown_headers, wide, without_cut_trace
from signoff.upstream.sent import Answered


def answered_of(incoming: Incoming, traces: Sequence[bytes], *, limit: int) -> Answered:
    """Return the answer as everybody behind this line sees it."""
    body, cut = incoming.body, incoming.cut
    encodings = [
        value.decode("latin-1").strip().lower()
        for name, value in incoming.headers
        if name.lower() == b"content-encoding"
    ]
    encoding = ",".join(encodings)
    unread: str | None = None
    if encoding not in ("identity", "") and body:
        plain = decoded(body[:limit], encoding, limit=limit)
        if plain is None:
            body, unread = b"", "it is compressed in a way that was not asked for"
        else:
            body, cut = plain[0], plain[1] or cut
    if b"\x00" in body:
        traces = [*traces, *wide(traces)]
    body = redacted(body, traces)[:limit]
    return Answered(
        status=incoming.status,
        headers=shown_headers(incoming.headers, traces),
        body=without_cut_trace(body, traces) if cut else body,
        truncated=cut,
        cut_by=incoming.cut_by,
        unread=unread,
        location=_location(incoming, traces),
    )


def _location(incoming: Incoming, traces: Sequence[bytes]) -> str | None:
    found = [value for name, value in incoming.headers if name.lower() == b"location"]
    return redacted(found[0], traces).decode("latin-1") if len(found) == 1 else None
