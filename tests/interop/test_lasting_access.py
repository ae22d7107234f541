"""openid-client, unmodified, with access that lasts and tokens bound to its key."""

from pathlib import Path

import pytest

from interop_parts import node, served
from signoff.oauth.clients import CIBA


@pytest.mark.seed("CIBA-68")
@pytest.mark.seed("B18")
async def test_openid_client_refreshes_bound_tokens_narrows_them_and_is_caught_replaying(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as here:
        client = await here.provider.other_client(
            grant_types=[CIBA, "refresh_token"], dpop_bound=True
        )
        found = await node(
            "openid_client_lasting.mjs", "openid-client@6.8.9", **here.environment(client)
        )
    assert found == {
        "types": ["dpop", "dpop", "dpop"],
        "sub": ["alice", "alice"],
        "details": [2, [{"type": "payment", "amount": 30}]],
        "bound": True,
        "wider": "invalid_authorization_details",
        "replayed": "invalid_grant",
        "ended": "invalid_grant",
        "after": False,
    }
