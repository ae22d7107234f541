"""A body of two types: whoever reads it would have to choose, so nobody reads it."""

import pytest

from as_parts import GATE, Provider, refused

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
WORDS = "the body must be application/x-www-form-urlencoded in UTF-8"


@pytest.mark.seed("CIBA-13")
@pytest.mark.parametrize("types", [(FORM, JSON), (JSON, FORM), (FORM, FORM), (JSON, JSON), ()])
@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/bc-authorize", "/oauth/token"])
async def test_a_body_of_two_types_or_of_none_is_refused(
    provider: Provider, path: str, types: tuple[str, ...]
) -> None:
    for body in (b"grant_type=client_credentials", b'{"grant_type":"client_credentials"}'):
        answer = await provider.http.post(
            path, content=body, headers=[("content-type", name) for name in types], auth=GATE
        )
        assert refused(answer, "invalid_request") == WORDS
