"""Inputs and values as the user writes them: what is read, and every refusal to the letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botec.calls import ITEM_BYTES
from botec.errors import BadInput
from botec.inputs import Input, parse_input, parse_value

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
SIZES = st.lists(st.integers(1, 10**6) | NAMES, min_size=1, max_size=5)


@given(SIZES, st.sampled_from(sorted(ITEM_BYTES)), NAMES)
def test_what_is_printed_is_read_again(sizes: list[int | str], dtype: str, name: str) -> None:
    one = Input(*sizes, dtype=dtype, name=name)
    assert parse_input(str(one)) == one
    assert hash(parse_input(str(one))) == hash(one)
    assert eval(repr(one), {"Input": Input}) == one


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=B,3,224,224", Input("B", 3, 224, 224, name="x")),
        ("B,3,224,224", Input("B", 3, 224, 224)),
        ("ids=B,S:int64", Input("B", "S", dtype="int64", name="ids")),
        (" x = B , 3 ", Input("B", 3, name="x")),
        ("7", Input(7)),
        ("x=+7:", Input(7, name="x")),
    ],
)
def test_forms(text: str, expected: Input) -> None:
    assert parse_input(text) == expected


FORM = 'write it as "x=B,3,224,224"'
FROM_ONE = "sizes are whole numbers from 1"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", f"--input: an empty size; {FORM}"),
        ("x=", f"--input x=: an empty size; {FORM}"),
        ("x=B,,3", f"--input x=B,,3: an empty size; {FORM}"),
        ("x=B,3,", f"--input x=B,3,: an empty size; {FORM}"),
        ("x=0", f"input x: size 0; {FROM_ONE}"),
        ("x=-3", f"input x: size -3; {FROM_ONE}"),
        (f"x={2**62}", f"input x: size {2**62}; {FROM_ONE}"),
        ("x=2.5", "input x: '2.5' is neither a number nor a name; use 224 or B"),
        ("x=B*2", "input x: 'B*2' is neither a number nor a name; use 224 or B"),
        ("3x", "input: '3x' is neither a number nor a name; use 224 or B"),
        ("x=3:float", "input x: unknown dtype 'float'; did you mean float64, float32, float16?"),
    ],
)
def test_bad_inputs(text: str, error: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_input(text)
    assert str(caught.value) == error


def test_a_type_far_from_any_gets_the_list() -> None:
    with pytest.raises(BadInput, match=r"unknown dtype 'zz'; use one of bool, uint8, .*float8"):
        Input("B", dtype="zz")


@pytest.mark.parametrize(
    ("text", "pair"), [("B=32", ("B", 32)), ("S=+7", ("S", 7)), ("_x=007", ("_x", 7))]
)
def test_values(text: str, pair: tuple[str, int]) -> None:
    assert parse_value(text) == pair


FORM_OF_VALUE = "not of the form NAME=NUMBER; write a dimension as B=32"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("B", f"B: {FORM_OF_VALUE}"),
        ("=3", f"=3: {FORM_OF_VALUE}"),
        ("3=B", f"3=B: {FORM_OF_VALUE}"),
        ("", FORM_OF_VALUE),
        *(
            (f"B={bad}", f"B={bad}: B is '{bad}'; give a whole number from 1, such as B=32")
            for bad in ("0", "-3", "2.5", "", "1e3", "x", "1_000", "3=4")
        ),
        *(
            (f"B={size}", f"B={size}: B is '{size}'; give one below 2**62, such as B=32")
            for size in (2**62, 10**27)
        ),
    ],
)
def test_bad_values(text: str, error: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_value(text)
    assert str(caught.value) == error


@given(st.text(max_size=20))
def test_no_text_is_ever_a_traceback(text: str) -> None:
    """Whatever is typed is read or refused in one line."""
    for parse in (parse_value, parse_input):
        said = ""
        try:
            parse(text)
        except BadInput as error:
            said = str(error)
        assert len(said.splitlines()) <= 1


def test_shape_and_names() -> None:
    one = Input("B", 3, "S", "B")
    assert one.names == ("B", "S")
    assert one.shape({"B": 2, "S": 5}) == (2, 3, 5, 2)
    assert str(one) == "input=B,3,S,B:float32"
    assert Input().shape({}) == ()
    assert one != "input=B,3,S,B:float32"
