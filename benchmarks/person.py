"""A scripted person: signs in by a link, reads the card, signs and posts the decision.

Does what the page's script does in a browser, over the light client of `wire`, so that the person
costs little of the CPU that is measured.
"""

import base64
import json
import re
import time
from typing import Final, Self
from urllib.parse import urlencode, urlsplit

from benchmarks.wire import Connection, WireError
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from signoff.approvals.sessions import proof_message

CARD: Final = re.compile(r"/approvals/(apr_[\w-]+)")
_FIELDS: Final = {
    name: re.compile(pattern)
    for name, pattern in {
        "csrf": r'name="csrf" value="([^"]+)"',
        "digest": r'data-digest="([^"]+)"',
        "nonce": r'data-nonce="([^"]+)"',
    }.items()
}


class Person:
    """One approver with a device of their own."""

    def __init__(self, port: int) -> None:
        self._connection = Connection(port)
        self._key = generate_private_key(SECP256R1())
        self._headers = {
            "Origin": f"http://localhost:{port}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    async def sign_in(self, link: str) -> Self:
        """Press the button behind the link."""
        point = self._key.public_key().public_numbers()
        x, y = (_encode(number.to_bytes(32)) for number in (point.x, point.y))
        jwk = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y})
        headers = await self._post(urlsplit(link).path, {"device_key": jwk})
        self._headers["Cookie"] = headers["set-cookie"].split(";", 1)[0]
        return self

    async def approve(self, approval_id: str) -> tuple[float, float]:
        """Approve one card; return when the decision was posted and when it was answered."""
        path = f"/approvals/{approval_id}"
        status, _, body = await self._connection.request("GET", path, self._headers)
        _, _, form = body.decode().partition("data-decide")
        found = {name: pattern.search(form) for name, pattern in _FIELDS.items()}
        csrf, digest, nonce = (match[1] if match else "" for match in found.values())
        if status != 200 or not nonce:
            raise WireError(f"{path}: {status}, no card")
        message = proof_message("approve", approval_id=approval_id, digest=digest, nonce=nonce)
        r, s = decode_dss_signature(self._key.sign(message, ECDSA(SHA256())))
        fields = {
            "csrf": csrf,
            "digest": digest,
            "decision": "approve",
            "proof": _encode(r.to_bytes(32) + s.to_bytes(32)),
        }
        posted = time.perf_counter()
        await self._post(f"{path}/decision", fields)
        return posted, time.perf_counter()

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    async def _post(self, path: str, fields: dict[str, str]) -> dict[str, str]:
        status, headers, body = await self._connection.request(
            "POST", path, self._headers, urlencode(fields).encode()
        )
        if status != 303:
            raise WireError(f"{path}: {status} {body[:300]!r}")
        return headers


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
