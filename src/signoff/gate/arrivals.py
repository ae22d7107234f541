"""How many events have come of an approved call's answer, while it streams.

Owns a number for each call that is being sent, for the line of status. Nothing an upstream says
is kept here: whoever approves, or waits, is told by us alone.
"""


class Arrivals:
    """The counts, of this process."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def note(self, call_id: str, number: int) -> None:
        """Take down that event `number` of the call's answer is here."""
        self._counts[call_id] = number

    def forget(self, call_id: str) -> None:
        """End the count: the answer is whole, or will not be."""
        self._counts.pop(call_id, None)

    def count(self, call_id: str) -> int:
        """Return how many have come so far."""
        return self._counts.get(call_id, 0)
