"""The words of names, paths and questions: split, folded, and told apart from what is done."""

import pytest

from signoff.catalog.model import Capability
from signoff.catalog.words import meant, place_of, question, said_verbs, verbs_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listCoreV1NamespacedPod", ["list", "core", "v", "1", "namespaced", "pod"]),
        ("issues/add-labels", ["issue", "add", "label"]),
        ("GET_SMSMessages", ["get", "sms", "message"]),
        ("policies, ingresses and branches of a status", ["policy", "ingress", "and", "branch",
                                                          "of", "a", "status"]),
        ("Größe der Straßen", ["grösse", "der", "strassen"]),
        ("…_—", []),
    ],
)  # fmt: skip
def test_text_is_split_into_words_whatever_its_style(text: str, words: list[str]) -> None:
    assert list(words_of(text)) == words


@pytest.mark.parametrize(
    ("text", "things", "verbs", "acts"),
    [
        ("create an issue", ("issue",), ("create",), False),
        ("please list the pods", ("pod",), ("list",), False),
        ("issue create", ("issue",), ("create",), False),
        ("list stateful sets", ("stateful", "set"), ("list",), False),
        ("star a repository", ("star", "repository"), (), True),
        ("logs of a pod", ("log", "pod"), (), False),
        ("chat completion", ("chat", "completion"), (), False),
        ("list my repositories", ("repository", "my"), ("list",), False),
        ("who am I", ("my",), (), False),
        ("list", ("list",), (), False),
        ("the of a", (), (), False),
    ],
)
def test_a_question_is_things_and_what_is_done_to_them(
    text: str, things: tuple[str, ...], verbs: tuple[str, ...], *, acts: bool
) -> None:
    asked = question(text)

    assert (asked.things, asked.verbs, asked.acts) == (things, verbs, acts)


def test_a_question_of_any_length_is_a_few_words() -> None:
    assert len(question(" ".join(f"w{chr(97 + n)}x" for n in range(26))).things) == 12
    assert question("a" * 10_000).things == ("a" * 400,)


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("isue", ["issue"]),
        ("sned", ["send"]),
        ("podd", ["pod"]),
        ("custmer", ["customer"]),
        ("repostory", ["repository"]),
        ("repsotirory", []),
        ("po", []),
        ("issue", ["issue"]),
        ("zebra", []),
    ],
)
def test_a_misspelled_word_is_the_nearest_known_one(word: str, others: list[str]) -> None:
    assert meant(word, ["issue", "send", "pod", "customer", "repository", "id"]) == others


def capability(method: str, path: str, name: str = "x", summary: str = "") -> Capability:
    return Capability(
        name=name, title=name, upstream="up", method=method, path=path, summary=summary
    )


def test_a_method_does_to_one_thing_other_than_to_many() -> None:
    assert verbs_of(capability("GET", "/pets")) == {"get", "list"}
    assert verbs_of(capability("GET", "/pets/{id}")) == {"get"}
    assert verbs_of(capability("POST", "/pets")) == {"create"}
    assert verbs_of(capability("POST", "/pets/{id}")) == {"update"}
    assert verbs_of(capability("DELETE", "/pets/{id}")) == {"delete"}
    assert verbs_of(capability("TRACE", "/pets")) == frozenset()


def test_a_name_says_its_verbs_and_a_summary_begins_with_one() -> None:
    assert said_verbs(capability("GET", "/", "issues_list_for_repo")) == {"list"}
    assert said_verbs(capability("PUT", "/", "replicaSetScale", "Change the scale")) == {"change"}
    assert said_verbs(capability("GET", "/", "viewChanges")) == {"view"}


def test_a_path_ends_in_what_it_is_about() -> None:
    assert place_of("/repos/{owner}/{repo}/issues/{n}") == ("issues", "repos")
    assert place_of("/v1/charges/{id}/refund/") == ("refund", "v1/charges")
    assert place_of("/{id}") == ("", "")
