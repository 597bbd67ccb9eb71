"""A MODEL with fields of its build changed, form by form."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from botec.errors import BadInput, BotecError
from botec.inputs import Input

pytest.importorskip("torch")
from botec.read.varied import read_with, with_fields, with_sizes


def needs(package: str) -> None:
    """Skip without a package. (Importing it here would miss what botec's door does before.)"""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize(
    ("model", "fields", "text"),
    [
        ("mlp:KxL", {"K": 16, "L": 3}, "mlp:16x3"),
        ("mlp:784-K-K-10", {"K": 9}, "mlp:784-9-9-10"),
        ("mlp:30xL", {"L": 2}, "mlp:30x2"),
        ("net.py:Net", {"width": 8}, "net.py:Net(width=8)"),
        ("net.py:a.make(3, depth=2)", {"depth": 4, "k": 1}, "net.py:a.make(3, depth=4, k=1)"),
        ("net.py:make(kind='a')", {"k": 1}, "net.py:make(kind='a', k=1)"),
        ("transformers:llama", {"hidden_size": 64}, "transformers:llama?hidden_size=64"),
        ("transformers:t5?d_kv=8,d_ff=4", {"d_ff": 2, "a.b": 3}, "transformers:t5?d_kv=8,d_ff=2,"
         "a.b=3"),
        ("timm:vit?depth=[1,2],k=3", {"k": 4}, "timm:vit?depth=[1,2],k=4"),
        ("torchvision:resnet18", {"num_classes": 4}, "torchvision:resnet18?num_classes=4"),
    ],
)  # fmt: skip
def test_fields_go_where_the_form_has_them(model: str, fields: dict[str, int], text: str) -> None:
    assert with_fields(model, fields) == text


@pytest.mark.parametrize(
    ("model", "fields", "line"),
    [
        ("mlp:KxL", {"M": 3}, "it has no letter M; write mlp:KxL"),
        ("onnx:net.onnx", {"k": 3}, "its build has no fields to vary"),
        ("saved.botec", {"k": 3}, "its build has no fields to vary"),
    ],
)
def test_forms_without_the_field(model: str, fields: dict[str, int], line: str) -> None:
    with pytest.raises(BadInput) as caught:
        with_fields(model, fields)
    assert line in str(caught.value)


def test_a_varied_letter_of_an_input_is_a_number() -> None:
    one = with_sizes(Input("B", "K", dtype="int64", name="x", below=7, only="train"), {"K": 8})
    assert (one.sizes, one.dtype, one.name, one.below, one.only) == (
        ("B", 8), "int64", "x", 7, "train",
    )  # fmt: skip


def test_what_is_read_is_what_was_varied() -> None:
    program = read_with("mlp:KxL", {"K": 6, "L": 2}, (), {"B": 3})
    assert sum(one.tensor.elements for one in program.parameters) == 2 * (36 + 6)


@pytest.mark.parametrize(
    ("model", "fields", "line"),
    [
        (
            "transformers:llama",
            {"hidden_sise": 64},
            "transformers:llama with hidden_sise=64: the configuration has no field 'hidden_sise'; "
            "did you mean hidden_size",
        ),
        (
            "transformers:gpt2?n_layer=2",
            {"n_embd": 100},
            "with n_embd=100: ",  # twelve heads do not divide it
        ),
        ("timm:resnet18", {"wide": 3}, "unexpected keyword argument 'wide'"),
        ("torchvision:resnet18", {"wide": 3}, "unexpected keyword argument 'wide'"),
    ],
)
def test_a_build_that_refuses_says_so_in_one_line(
    model: str, fields: dict[str, int], line: str
) -> None:
    needs(model.partition(":")[0])
    with pytest.raises(BotecError) as caught:
        read_with(model, fields, (), {})
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{model} with ")


def test_a_builders_arguments_reach_it() -> None:
    """Of timm the size of the picture too, which the input follows."""
    needs("timm")
    model = "timm:vit_tiny_patch16_224?depth=1,img_size=64"
    program = read_with(model, {"embed_dim": 48}, (), {"train": False})
    assert program.setting.inputs == ("x=B,3,64,64:float32",)
    weights = {one.names[0]: one.tensor.shape for one in program.parameters}
    assert weights["pos_embed"] == (1, 17, 48)
    assert not any(name.startswith("blocks.1") for name in weights)
