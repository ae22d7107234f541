"""The words of names, paths and questions: split, folded, and told apart from what is done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.catalog.model import Capability
from signoff.catalog.words import (
    Spellings,
    first_word,
    meant,
    place_of,
    question,
    said_verbs,
    verbs_of,
    words_of,
)


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
    known = Spellings(["issue", "send", "pod", "customer", "repository", "id"])

    assert meant(word, known) == others


WORDS = st.text(alphabet="abcdeé日", min_size=4, max_size=12)


def mistaken(word: str, kind: str, at: int, letter: str) -> str:
    at %= len(word)
    match kind:
        case "lost":
            return word[:at] + word[at + 1 :]
        case "added":
            return word[:at] + letter + word[at:]
        case "swapped":
            return word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
        case _:
            return word[:at] + letter + word[at + 1 :]


MISTAKES = st.lists(
    st.tuples(
        st.sampled_from(["lost", "added", "swapped", "changed"]),
        st.integers(min_value=0, max_value=20),
        st.sampled_from("abcxyzé"),
    ),
    min_size=1,
    max_size=2,
)


@given(WORDS, MISTAKES)
def test_no_mistake_hides_the_word_that_was_meant(
    word: str, mistakes: list[tuple[str, int, str]]
) -> None:
    written = word
    for kind, at, letter in mistakes:
        written = mistaken(written, kind, at, letter)

    assert word in Spellings([word]).near(written, len(mistakes))


@pytest.mark.parametrize(
    ("written", "most"),
    [("customer", 1), ("costumes", 1), ("custxyer", 1), ("custxyzr", 2), ("cust", 2), ("", 2)],
)
def test_what_differs_in_more_letters_is_not_looked_at(written: str, most: int) -> None:
    known = Spellings(["repository", "customerabc", "customedly"])

    assert list(known.near(written, most)) == []


@pytest.mark.parametrize(
    "text", ["", " ", "-", "listPets", "HTTPServer x", "Énorme x", "7 up", "_a"]
)
def test_the_first_word_is_the_first_of_the_words(text: str) -> None:
    assert first_word(text) == next(iter(words_of(text)), "")


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
