"""What a new request would add to: how much waits, and how often a person was asked lately.

Owns the one statement that measures it, inside the transaction that opens the request.
"""

import json
from datetime import timedelta
from typing import Final

from signoff.approvals.ports import NotOpened, Opening
from signoff.storage.clock import to_us
from signoff.storage.sqlite import Tx

_MINUTE: Final = timedelta(minutes=1)

# Everything a new request is measured by, a row for each who may decide it. `kind` says whose
# requests count together: the gate's calls, or those of all other clients.
LOAD_OF: Final = """
SELECT EXISTS (SELECT 1 FROM disabled WHERE disabled.id = who.value) AS off,
       client.pending AS of_client, together.pending AS together, pair.pending AS of_pair,
       (SELECT count(*) FROM
          (SELECT 1 FROM approval_eligible AS e
           WHERE e.user_id = who.value AND e.opened_at > :since
             AND (e.client_id IS NULL) = (:kind = 'calls') LIMIT :prompts)) AS prompts,
       (SELECT count(*) FROM
          (SELECT 1 FROM approval_eligible AS e
           WHERE e.user_id = who.value AND e.opened_at > :since
             AND e.client_id = :client_id LIMIT :prompts)) AS prompts_of_pair
FROM json_each(:eligible) AS who
LEFT JOIN pending_counts AS client ON client.kind = 'client' AND client.id = :client_id
LEFT JOIN pending_counts AS together ON together.kind = :kind AND together.id = who.value
LEFT JOIN pending_counts AS pair
  ON pair.kind = 'pair' AND pair.id = :client_id || ' ' || who.value
"""


def refusal(tx: Tx, opening: Opening) -> NotOpened | None:
    """Return why the request may not be opened now, or None when it may."""
    caps = opening.caps
    params = {
        "eligible": json.dumps(opening.eligible),
        "client_id": opening.client_id,
        "kind": "calls" if opening.call_id is not None else "user",
        "since": to_us(tx.now - _MINUTE),
        "prompts": caps.prompts_per_minute,
    }
    active = [row for row in tx.all(LOAD_OF, params) if not row["off"]]
    if not active:
        return NotOpened(why="nobody")
    for row in active:
        waiting = (
            (row["of_client"], caps.per_client),
            (row["together"], caps.per_user),
            (row["of_pair"], caps.per_client_and_user),
        )
        if any((pending or 0) >= most for pending, most in waiting):
            return NotOpened(why="too_many")
        if (
            row["prompts"] >= caps.prompts_per_minute
            or row["prompts_of_pair"] >= caps.prompts_of_client
        ):
            return NotOpened(why="too_often")
    return None
