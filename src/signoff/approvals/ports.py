"""What the domain needs from outside: the feed of changes, and the storage of approvals.

Protocols only. Each method says what a crash before and after it means. Storage implements them
and depends inward; nothing here knows SQL.
"""

from contextlib import AbstractContextManager
from typing import Protocol


class Watch(Protocol):
    """A subscription to changes of one `(kind, id)`."""

    async def changed(self, timeout_s: float) -> bool:
        """Wait until something changed since the last call or since the watch began.

        Returns False when `timeout_s` passed first. A change is never missed between two calls;
        several changes may come as one. The reader then reads the state again.
        """
        ...


class Changes(Protocol):
    """The in-process feed of committed changes, published by storage after COMMIT."""

    def watch(self, kind: str, id: str) -> AbstractContextManager[Watch]:  # noqa: A002 — the domain's word
        """Watch one record. Begin watching, then read, then wait: so no change slips between.

        An `id` of `*` watches every record of that kind.
        """
        ...
