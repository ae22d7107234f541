"""Names are legal, unique, and the same in whatever order the operations come."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.catalog.openapi.names import ARGUMENT, PREFIX, Wire, argument_names, tool_names

METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")


@pytest.mark.parametrize(
    ("operation_id", "method", "path", "name"),
    [
        ("listPets", "get", "/pets", "listPets"),
        ("list-pets_2", "get", "/pets", "list-pets_2"),
        ("issues/create", "post", "/issues", "issues_create"),
        ("a.b c:d", "get", "/x", "a_b_c_d"),
        ("créer", "post", "/x", "creer"),
        ("日本", "post", "/x", "op_ccd259b4"),
        (None, "get", "/pets/{id}/toys", "get_pets_id_toys"),
        ("x" * 48, "get", "/x", "x" * 48),
        ("x" * 49, "get", "/x", "x" * 39 + "_3b9650a7"),
    ],
)
def test_a_name_is_the_operation_id_where_legal_and_derived_where_not(
    operation_id: str | None, method: str, path: str, name: str
) -> None:
    assert tool_names([(operation_id, method, path)]) == {(method, path): name}


def test_all_that_share_a_name_are_renamed() -> None:
    names = tool_names([("a/b", "get", "/1"), ("a.b", "get", "/2"), ("other", "get", "/3")])

    assert names["get", "/3"] == "other"
    assert names["get", "/1"] != names["get", "/2"]
    assert all(re.fullmatch(r"a_b_[0-9a-f]{8}", names["get", path]) for path in ("/1", "/2"))


operations = st.lists(
    st.tuples(
        st.one_of(
            st.none(),
            st.sampled_from(["a", "a/b", "a.b", "a_b", "a-b", "é", "日本", "x" * 60, "op_1"]),
            st.text(max_size=70),
        ),
        st.sampled_from(METHODS),
        st.text(alphabet="/{}abé-._", max_size=60).map(lambda path: f"/{path}"),
    ),
    max_size=30,
    unique_by=lambda one: (one[1], one[2]),
)


@pytest.mark.parametrize(
    ("operation_id", "name"),
    [
        ("listPets", "my-bank_listPets"),
        ("issues/create", "my-bank_issues_create"),
        (None, "my-bank_get_pets"),
        ("日本", "my-bank_op_6b016532"),
        ("x" * 40, f"my-bank_{'x' * 40}"),
        ("x" * 41, f"my-bank_{'x' * 31}_6b016532"),
        ("x" * 60, f"my-bank_{'x' * 31}_6b016532"),
    ],
)
def test_a_prefix_begins_the_name_and_counts_within_its_length(
    operation_id: str | None, name: str
) -> None:
    names = tool_names([(operation_id, "get", "/pets")], prefix="my-bank")

    assert names == {("get", "/pets"): name}


def test_a_pinned_name_has_the_prefix_it_was_pinned_with() -> None:
    listed = [("a", "get", "/1"), ("a", "get", "/2")]
    names = tool_names(listed, {"GET /1": "bank_a"}, prefix="bank")

    assert names["get", "/1"] == "bank_a"
    assert re.fullmatch(r"bank_a_[0-9a-f]{8}", names["get", "/2"])


@given(
    operations,
    st.from_regex(PREFIX, fullmatch=True),
    st.randoms(use_true_random=False),
)
def test_prefixed_names_are_legal_unique_and_stable_under_reordering(
    listed: list[tuple[str | None, str, str]], prefix: str, random: Random
) -> None:
    names = tool_names(listed, prefix=prefix)

    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,48}", name) for name in names.values())
    assert all(name.startswith(f"{prefix}_") for name in names.values())
    assert len(set(names.values())) == len(listed)
    shuffled = list(listed)
    random.shuffle(shuffled)
    assert tool_names(shuffled, prefix=prefix) == names


@given(operations, st.randoms(use_true_random=False))
def test_names_are_legal_unique_and_stable_under_reordering(
    listed: list[tuple[str | None, str, str]], random: Random
) -> None:
    names = tool_names(listed)
    shuffled = list(listed)
    random.shuffle(shuffled)

    assert tool_names(shuffled) == names
    assert len(names) == len(listed)
    assert len(set(names.values())) == len(listed)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,48}", name) for name in names.values())


@pytest.mark.parametrize(
    ("written", "argument"),
    [
        ("limit", "limit"),
        ("StartTime<", "StartTime_lt"),
        ("StartTime>", "StartTime_gt"),
        ("filter[name]", "filter.name"),
        ("filter[a][b]", "filter.a.b"),
        ("$filter", "filter"),
        ("include[]", "include"),
        ("größe", "groe"),
        ("日本", "arg_cf2abf0c"),
        ("a b", "a_b"),
    ],
)
def test_an_illegal_key_gets_an_alias(written: str, argument: str) -> None:
    assert argument_names([Wire(place="query", name=written)]) == {
        Wire(place="query", name=written): argument
    }


def test_the_same_name_in_several_places_carries_its_place_everywhere() -> None:
    wires = [Wire(place=place, name="id") for place in ("path", "query", "header", "body")]

    assert list(argument_names(wires).values()) == ["id_path", "id_query", "id_header", "id_body"]


def test_an_alias_never_takes_a_legal_name_away() -> None:
    names = argument_names([Wire(place="query", name="$top"), Wire(place="query", name="top")])

    assert names[Wire(place="query", name="top")] == "top"
    assert re.fullmatch(r"top_[0-9a-f]{8}", names[Wire(place="query", name="$top")])


def wire(place: str, name: str) -> Wire:
    return Wire(place=place, name=name)


wires = st.lists(
    st.builds(
        wire,
        st.sampled_from(["path", "query", "header", "cookie", "body"]),
        st.one_of(
            st.sampled_from(["id", "$id", "id[]", "id_path", "id_body", "id<", "x" * 80]),
            st.text(min_size=1, max_size=80),
        ),
    ),
    max_size=25,
    unique=True,
)


@given(wires, st.randoms(use_true_random=False))
def test_arguments_are_legal_unique_and_stable_under_reordering(
    listed: list[Wire], random: Random
) -> None:
    names = argument_names(listed)
    shuffled = list(listed)
    random.shuffle(shuffled)

    assert argument_names(shuffled) == names
    assert len(set(names.values())) == len(listed)
    assert all(ARGUMENT.fullmatch(name) for name in names.values())
