"""Where a code may go: what nobody may have, and that nothing but what one has is one's own."""

import pytest

from signoff.oauth.hosts import RedirectError, allowed, check_redirect_uris

HAS = (
    "http://127.0.0.1/callback",
    "http://localhost:3000/cb?tenant=a",
    "http://[::1]/cb",
    "https://app.example/cb",
    "cursor://auth/cb",
)


@pytest.mark.parametrize(
    "uri",
    [
        *HAS,
        "http://127.0.0.1:49152/callback",
        "http://localhost:49152/cb?tenant=a",
        "http://localhost/cb?tenant=a",
        "http://[::1]:49152/cb",
    ],
)
def test_any_port_will_do_on_loopback_and_nothing_else_may_differ(uri: str) -> None:
    assert allowed(uri, HAS)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://127.0.0.1:1/callback/",
        "http://127.0.0.1:1/Callback",
        "http://127.0.0.1:1/callback?a=1",
        "http://127.0.0.1:1/callback?",
        "http://127.0.0.1:1/callback#x",
        "http://127.0.0.1:1//callback",
        "http://127.0.0.1:1/%63allback",
        "http://127.0.0.1:1/x/../callback",
        "http://127.0.0.1:1/x/%2e%2e/callback",
        "http://u@127.0.0.1:1/callback",
        "http://127.0.0.1:1@evil.example/callback",
        "http://127.0.0.1:1%40evil.example/callback",
        "http://127.0.0.1\\@evil.example/callback",
        "http://127.1/callback",
        "http://127.0.0.2/callback",
        "http://2130706433/callback",
        "http://0x7f.1/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:0x1/callback",
        "http://127.0.0.1:1 /callback",
        "http://127.0.0.1:1\t/callback",
        "http://127.0.0.1:1/callback\n",
        "https://127.0.0.1:1/callback",
        "http:/127.0.0.1/callback",
        "http:127.0.0.1/callback",
        "//127.0.0.1/callback",
        "http://localhost/callback",
        "http://localhost:3001/cb",
        "http://localhost:3001/cb?tenant=a&b=c",
        "http://localhost:3001/cb?tenant=b",
        "http://LOCALHOST:3001/cb?tenant=a",
        "http://localhost.:3001/cb?tenant=a",
        "http://localhost.evil.example:3001/cb?tenant=a",
        "http://127.0.0.1:3000/cb?tenant=a",
        "http://[0:0:0:0:0:0:0:1]:9/cb",
        "http://[::ffff:127.0.0.1]:9/cb",
        "https://app.example:443/cb",
        "https://app.example:8443/cb",
        "https://app.example/cb/",
        "https://APP.example/cb",
        "https://app.example./cb",
        "https://app.example/cb;x",
        "https://\u0430pp.example/cb",
        "https://xn--pp-8cd.example/cb",
        "CURSOR://auth/cb",
        "cursor://auth:1/cb",
        "cursor:auth/cb",
    ],
)
def test_what_is_not_its_own_gets_no_answer(uri: str) -> None:
    assert not allowed(uri, HAS)


@pytest.mark.parametrize("name", ["code", "state", "iss", "error", "error_description"])
@pytest.mark.parametrize("query", ["{}=x", "tenant=a&{}=x", "{}", "%{:02x}{}=x"])
def test_an_answer_can_be_read_in_one_way_only(name: str, query: str) -> None:
    first = query.startswith("%")
    text = query.format(ord(name[0]), name[1:]) if first else query.format(name)
    for place in ("https://app.example/cb", "http://127.0.0.1/cb", "cursor://auth/cb"):
        with pytest.raises(RedirectError, match="no parameter of an answer"):
            check_redirect_uris([f"{place}?{text}"])


def test_a_query_of_its_own_is_kept() -> None:
    check_redirect_uris(["https://app.example/cb?tenant=a&encode=1&coder=x"])


@pytest.mark.parametrize("segment", ["%2e", "%2E", ".%2e", "%2e%2E", ".", ".."])
def test_a_path_leads_where_it_says(segment: str) -> None:
    with pytest.raises(RedirectError, match="dot segments"):
        check_redirect_uris([f"https://app.example/a/{segment}/cb"])


@pytest.mark.parametrize(
    "scheme",
    [
        *("intent", "search-ms", "ms-msdt", "ms-officecmd", "shell", "ldap", "smb", "jar", "res"),
        *("javascript", "data", "file", "urn", "chrome-extension", "itms-services", "ssh"),
    ],
)
def test_a_scheme_that_opens_more_than_an_application_of_its_own_is_nobodys(scheme: str) -> None:
    with pytest.raises(RedirectError, match="may not have this scheme"):
        check_redirect_uris([f"{scheme}://place/cb"])
