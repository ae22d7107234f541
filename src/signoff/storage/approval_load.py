"""What a new request would add to: how much waits, and how often a person was asked lately.

Owns the one statement that measures it, inside the transaction that opens the request.
"""

from datetime import timedelta
from typing import Final

from signoff.approvals.ports import NotOpened, Opening
from signoff.storage.clock import to_us
from signoff.storage.sqlite import Tx

_MINUTE: Final = timedelta(minutes=1)

# Everything a new request is measured by, for one of those who may decide it. What counts together
# are the gate's calls, which name no client here, or the requests of all other clients. The rows
# are few: those that wait, and those of the last minute, each bounded by the caps.
LOAD_OF: Final = """
SELECT EXISTS (SELECT 1 FROM disabled WHERE disabled.id = :client_id) AS client_off,
       EXISTS (SELECT 1 FROM disabled WHERE disabled.id = :user_id) AS off,
       (SELECT pending FROM pending_counts AS c WHERE c.client_id = :client_id) AS of_client,
       sum(waiting AND (client_id IS NULL) = :is_call) AS together,
       sum(waiting AND client_id = :client_id) AS of_pair,
       sum(opened_at > :since AND (client_id IS NULL) = :is_call) AS prompts,
       sum(opened_at > :since AND client_id = :client_id) AS prompts_of_pair
FROM (SELECT waiting, opened_at, client_id FROM approval_eligible
      WHERE user_id = :user_id AND waiting = 1
      UNION ALL
      SELECT waiting, opened_at, client_id FROM approval_eligible
      WHERE user_id = :user_id AND waiting = 0 AND opened_at > :since)
"""


def refusal(tx: Tx, opening: Opening) -> NotOpened | None:
    """Return why the request may not be opened now, or None when it may."""
    caps = opening.caps
    params = {
        "client_id": opening.client_id,
        "is_call": opening.call_id is not None,
        "since": to_us(tx.now - _MINUTE),
    }
    loads = [
        load
        for user_id in opening.eligible
        if (load := tx.one(LOAD_OF, {**params, "user_id": user_id})) is not None
    ]
    if any(load["client_off"] for load in loads):
        return NotOpened(why="client_off")
    active = [load for load in loads if not load["off"]]
    if not active:
        return NotOpened(why="nobody")
    for load in active:
        if _reaches(
            (load["of_client"], caps.per_client),
            (load["together"], caps.per_user),
            (load["of_pair"], caps.per_client_and_user),
        ):
            return NotOpened(why="too_many")
        if _reaches(
            (load["prompts"], caps.prompts_per_minute),
            (load["prompts_of_pair"], caps.prompts_of_client),
        ):
            return NotOpened(why="too_often")
    return None


def _reaches(*counts: tuple[int | None, int]) -> bool:
    """Tell whether a count has reached its cap; of nothing, a sum is None."""
    return any((count or 0) >= most for count, most in counts)
