"""Search over an index of capabilities: what fits best comes first, quickly and in little space."""

from signoff.catalog.model import Capability
from signoff.catalog.search import Index


def card(
    name: str, method: str = "GET", path: str = "/x", summary: str = "", *tags: str
) -> Capability:
    return Capability(
        name=name,
        title=name,
        upstream="up",
        method=method,
        path=path,
        summary=summary,
        tags=tags,
        operation_id=name,
    )


CARDS = (
    card(
        "reactions_create_for_issue", "POST", "/repos/{r}/issues/{n}/reactions", "Create reaction"
    ),
    card("issues_create", "POST", "/repos/{r}/issues", "Create an issue", "issues"),
    card("issues_list", "GET", "/repos/{r}/issues", "List repository issues", "issues"),
    card("issues_delete_label", "DELETE", "/repos/{r}/labels/{n}", "Delete a label", "issues"),
    card("deployKeyRotate", "POST", "/keys/{id}/rotate", "Rotates a deploy key"),
    card("GetBalances", "GET", "/v1/balances", "Shows every balance"),
    card("pulls_merge", "PUT", "/repos/{r}/pulls/{n}/merge", "Merge a pull request", "pulls"),
)
INDEX = Index(CARDS)


def names(query: str, limit: int = 8) -> list[str]:
    return [hit.name for hit in INDEX.search(query, limit=limit)]


def test_the_operation_itself_comes_before_those_that_mention_it() -> None:
    assert names("create an issue")[0] == "issues_create"


def test_names_are_split_whatever_their_style() -> None:
    assert names("rotate deploy key")[0] == "deployKeyRotate"
    assert names("balance")[0] == "GetBalances"


def test_a_word_means_its_method_and_its_synonyms() -> None:
    assert names("remove label")[0] == "issues_delete_label"
    assert names("open new issue")[0] == "issues_create"
    assert names("show issues")[0] == "issues_list"


def test_summary_tag_and_path_count_too() -> None:
    assert names("pull request")[0] == "pulls_merge"
    assert names("pulls")[0] == "pulls_merge"
    assert names("/repos/labels")[0] == "issues_delete_label"


def test_the_beginning_of_a_word_is_enough_and_its_ending_does_not_matter() -> None:
    assert names("rotat") == ["deployKeyRotate"]
    assert names("merging")[0] == "pulls_merge"


def test_more_words_in_common_are_better_than_a_rare_one() -> None:
    assert names("list the issues of a repository")[0] == "issues_list"


def test_nothing_fits_nothing() -> None:
    for query in ("", "the of a", "zzz qqq", "…", "\x00" * 400, "a" * 10_000):
        assert names(query) == []


def test_only_what_is_shown_is_found() -> None:
    hits = INDEX.search("issue", shown=lambda card: card.method == "GET")

    assert [hit.name for hit in hits] == ["issues_list"]


def test_equals_are_in_the_order_of_their_names() -> None:
    index = Index([card("b_same"), card("a_same"), card("c_same")])

    assert [hit.name for hit in index.search("same")] == ["a_same", "b_same", "c_same"]
    assert [hit.name for hit in index.search("same", limit=2)] == ["a_same", "b_same"]


def test_an_index_of_nothing_finds_nothing() -> None:
    assert Index([]).search("anything") == []


def test_among_thousands_of_the_same_words_the_rare_one_decides() -> None:
    many = [
        card(f"getResourceSub{number}", path=f"/resource/sub{number}") for number in range(9_000)
    ]
    index = Index(many)

    assert index.search("get the resource sub 4711")[0].name == "getResourceSub4711"


def test_a_word_that_thousands_say_finds_those_that_say_little_else() -> None:
    many = [
        card(f"getAccountSub{number}", path=f"/accounts/{{id}}/sub{number}", summary="One account")
        for number in range(3_000)
    ]
    index = Index([*many, card("listAccounts", path="/accounts", summary="List accounts")])

    for query in ("list accounts", "account", "acount", "accounts of accounts"):
        assert index.search(query)[0].name == "listAccounts"
    assert index.search("account sub 2999")[0].name == "getAccountSub2999"
    assert len(index.search("account")) == 8


def test_what_another_may_not_see_does_not_push_out_what_one_may() -> None:
    hidden = [card(f"issue{number}", path="/issue") for number in range(3_000)]
    index = Index([*hidden, card("reportIssueOfMachine", path="/machines/{id}/report/issue/x")])

    hits = index.search("issue", shown=lambda one: one.name == "reportIssueOfMachine")

    assert [hit.name for hit in hits] == ["reportIssueOfMachine"]
