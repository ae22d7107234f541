"""An approver without a browser: a session, a device key and the page's own forms.

Does over HTTP what the page's script does, for tests in which the person is not the point. Tests
about the page use a real browser.
"""

import base64
import json
import re
from dataclasses import dataclass
from typing import Final

import httpx2
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from signoff.approvals.sessions import Verb, proof_message

_CARD: Final = re.compile(r"/approvals/(apr_[\w-]+)\"")


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a card's form carries."""

    approval_id: str
    csrf: str
    digest: str
    nonce: str


class ScriptedPerson:
    """A signed-in session at `url`, with the key that its sign-in made."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key: EllipticCurvePrivateKey = generate_private_key(SECP256R1())
        self.http = httpx2.AsyncClient(
            base_url=url, trust_env=False, headers={"Origin": url}, timeout=60
        )

    async def sign_in(self, link: str) -> "ScriptedPerson":
        """Press the button behind the link."""
        point = self.key.public_key().public_numbers()
        x, y = (_encode(number.to_bytes(32)) for number in (point.x, point.y))
        jwk = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y})
        answer = await self.http.post(link, data={"device_key": jwk})
        assert answer.status_code == 303, answer.text
        return self

    async def close(self) -> None:
        await self.http.aclose()

    async def waiting(self) -> list[str]:
        """Return the ids of the cards that wait for this person."""
        page = (await self.http.get("/approvals")).text
        return _CARD.findall(page.split("<h2>Recent</h2>")[0])

    async def page(self, approval_id: str) -> str:
        """Return the card, or the page after it, as text."""
        answer = await self.http.get(f"/approvals/{approval_id}")
        assert answer.status_code == 200, answer.text
        return answer.text

    async def form(self, approval_id: str) -> Form:
        """Read the card's form."""
        _, _, page = (await self.page(approval_id)).partition("data-decide")
        nonce = re.search(r'data-nonce="([^"]+)"', page)
        assert nonce, page
        return Form(
            approval_id=approval_id,
            csrf=_field(page, "csrf"),
            digest=_field(page, "digest"),
            nonce=nonce[1],
        )

    def proof(self, form: Form, verb: Verb) -> str:
        """Sign as the page's script does."""
        message = proof_message(
            verb, approval_id=form.approval_id, digest=form.digest, nonce=form.nonce
        )
        r, s = decode_dss_signature(self.key.sign(message, ECDSA(SHA256())))
        return _encode(r.to_bytes(32) + s.to_bytes(32))

    async def approve(self, approval_id: str) -> None:
        """Approve once."""
        form = await self.form(approval_id)
        answer = await self.send(form, decision="approve", proof=self.proof(form, "approve"))
        assert answer.status_code == 303, answer.text

    async def deny(self, approval_id: str, reason: str = "") -> None:
        """Deny, with a reason or without."""
        answer = await self.send(await self.form(approval_id), decision="deny", reason=reason)
        assert answer.status_code == 303, answer.text

    async def send(self, form: Form, **fields: str) -> httpx2.Response:
        """Post a decision with these fields."""
        return await self.http.post(
            f"/approvals/{form.approval_id}/decision",
            data={"csrf": form.csrf, "digest": form.digest, **fields},
        )


def _field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, page
    return found[1]


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
