"""Keys where a test has no database: the store of a keyring, or of a gate's own keys, in memory."""

from collections.abc import Sequence

from signoff.tokens.keyring import StoredKey


class MemoryKeys:
    """Keeps keys no longer than a test."""

    def __init__(self) -> None:
        self.stored: list[StoredKey] = []

    async def load(self) -> Sequence[StoredKey]:
        return list(self.stored)

    async def add(self, key: StoredKey) -> None:
        self.stored.append(key)

    async def remove(self, kid: str) -> None:
        self.stored = [key for key in self.stored if key.kid != kid]
