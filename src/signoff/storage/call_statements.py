"""The statements on `calls` and `call_approvers`, one a constant; `storage/calls.py` runs them.

Owns their text alone. The state stands in the WHERE of whatever changes one.
"""

from typing import Final

LOAD = "SELECT * FROM call_records WHERE id = :id"
LATEST = """
SELECT * FROM call_records WHERE request_key = :request_key
ORDER BY opened_at DESC, number DESC LIMIT 1
"""
LOAD_FROZEN = "SELECT arguments, details, request FROM calls WHERE id = :id"
LOAD_PAYLOAD: Final[dict[str, str]] = {
    "auth_req_id": "SELECT auth_req_id AS payload FROM calls WHERE id = :id",
    "access_token": "SELECT access_token AS payload FROM calls WHERE id = :id",
    "result": "SELECT result AS payload FROM calls WHERE id = :id",
}
COUNT_OPEN = """
SELECT count(*) AS n FROM calls
WHERE caller_key = :caller_key
  AND state IN ('opening', 'waiting', 'authorized', 'claimed', 'dispatching')
"""
COUNT_ASKED = "SELECT count(*) AS n FROM call_approvers WHERE user_id = :user_id"
FIND_DISABLED = "SELECT id FROM disabled WHERE id IN (:client_id, :sub, :decided_by) LIMIT 1"
FIND_JTI = "SELECT 1 FROM calls WHERE jti = :jti AND id <> :id"
ADD = """
INSERT INTO calls (
  id, state, fence, attempts, request_key, caller, tool, title, approvers, acr, audience, digest,
  catalogue_digest, opened_at, expires_at, approve_at, interval_s, decided_at, decided_by, reason,
  jti, execute_by, lease_until, finished_at, note, repeat_of, caller_key, client_id, sub,
  arguments, details, request, told
) VALUES (
  :id, :state, :fence, :attempts, :request_key, :caller, :tool, :title, :approvers, :acr,
  :audience, :digest, :catalogue_digest, :opened_at, :expires_at, :approve_at, :interval_s,
  :decided_at, :decided_by, :reason, :jti, :execute_by, :lease_until, :finished_at, :note,
  :repeat_of, :caller_key, :client_id, :sub, :arguments, :details, :request, 1
)
"""
ADD_APPROVER = "INSERT INTO call_approvers (user_id, call_id) VALUES (:user_id, :call_id)"
DROP_APPROVERS = "DELETE FROM call_approvers WHERE call_id = :id"
# `told` becomes 0 where the authorization server still has to hear how the call ended. The token
# and the auth_req_id are kept no longer than they are used.
SWAP = """
UPDATE calls SET
  state = :to, fence = fence + 1, attempts = :attempts, expires_at = :expires_at,
  approve_at = :approve_at, interval_s = :interval_s, decided_at = :decided_at,
  decided_by = :decided_by, reason = :reason, jti = :jti, execute_by = :execute_by,
  lease_until = :lease_until, finished_at = :finished_at, note = :note,
  auth_req_id = COALESCE(:auth_req_id, auth_req_id),
  access_token = CASE WHEN :ended THEN NULL ELSE COALESCE(:access_token, access_token) END,
  result = COALESCE(:result, result),
  told = CASE WHEN :untold AND auth_req_id IS NOT NULL THEN 0 ELSE told END
WHERE id = :id AND state = :from AND fence = :fence
  AND (NOT :towards_sending
       OR NOT EXISTS (SELECT 1 FROM disabled WHERE id IN (:client_id, :sub, :decided_by)))
RETURNING id
"""
UNFINISHED = """
SELECT id FROM calls
WHERE state IN ('opening', 'waiting', 'authorized', 'claimed', 'dispatching')
ORDER BY opened_at
"""
UNTOLD = "SELECT id FROM calls WHERE told = 0"
UNKNOWN = """
SELECT id FROM calls WHERE state = 'outcome_unknown' AND auth_req_id IS NOT NULL
ORDER BY finished_at DESC LIMIT 50
"""
# An unknown outcome may still be reconciled, and the page must hear of that.
MARK_TOLD = """
UPDATE calls SET told = 1,
  auth_req_id = CASE WHEN state = 'outcome_unknown' THEN auth_req_id ELSE NULL END
WHERE id = :id AND fence = :fence
"""
FORGET = """
UPDATE calls SET arguments = NULL, details = NULL, request = NULL, result = NULL
WHERE request IS NOT NULL AND finished_at < :before
"""
FIND_DISABLED_OF = "SELECT id FROM disabled WHERE id IN (SELECT value FROM json_each(:ids))"
UNSENT_OF = """
SELECT * FROM call_records WHERE id IN (
  SELECT id FROM calls WHERE state IN ('waiting', 'authorized', 'claimed')
    AND (client_id = :id OR sub = :id OR decided_by = :id)
)
"""
