"""An answer's body as it comes, whichever client reads it: up to its limit, its time, its end.

Owns when reading stops and what is kept of an answer that is not whole. Knows no connection.
"""

import asyncio
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Final

from signoff.upstream.exchange import CutBy, Incoming, Outgoing
from signoff.upstream.streams import is_stream

_SUCCESSES: Final = range(200, 300)  # RFC 9110 §15.3
_ENCODING: Final = b"transfer-encoding"
_LENGTH: Final = b"content-length"


async def collected(
    chunks: AsyncIterable[bytes],
    status: int,
    headers: list[tuple[bytes, bytes]],
    outgoing: Outgoing,
    broken: tuple[type[Exception], ...],
) -> Incoming:
    """Read a body. `broken` is what its client raises when the connection ends too early."""
    streamed = is_stream(_media_type(headers))
    listener = outgoing.listener if streamed and status in _SUCCESSES else None
    parts: list[bytes] = []
    size, cut = 0, False
    cut_by: CutBy = "size"
    if listener is not None:
        listener.begin(headers)
    try:
        async with asyncio.timeout_at(outgoing.stream_until if streamed else None):
            async for chunk in chunks:
                parts.append(chunk)
                size += len(chunk)
                if listener is not None:
                    listener.arrived(chunk)
                if size > outgoing.limit:
                    cut = True
                    break
    except TimeoutError:
        cut, cut_by = True, "time"
    except broken:
        if listener is None or not outgoing.keeps_part:
            raise
        cut, cut_by = True, "closed"  # what came until then is worth more than nothing
    return Incoming(status=status, headers=headers, body=b"".join(parts), cut=cut, cut_by=cut_by)


def is_ambiguous(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Tell whether two readers would end the answer at different bytes (RFC 9112 §6.1, §6.3)."""
    if any(name != name.strip() for name, _ in headers):
        return True  # RFC 9112 §5.1: some read `Content-Length :`, and some do not
    lengths = {value for name, value in headers if name.lower() == _LENGTH}
    encodings = [value.lower() for name, value in headers if name.lower() == _ENCODING]
    if not encodings:
        return len(lengths) > 1
    return bool(lengths) or encodings != [b"chunked"]


def _media_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return next(
        (value.decode("latin-1") for name, value in headers if name.lower() == b"content-type"), ""
    )
