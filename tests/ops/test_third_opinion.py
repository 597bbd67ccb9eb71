"""The framework's own counter, where it is right: products, convolutions forward, attention.

Real modules run on tensors without data; the book is asked call by call.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from botec.calls import Call
from botec.ops.facts import flops, multiplications
from tests.ops.calls_for import like


def plain(value):
    if isinstance(value, torch.Tensor):
        return like(value)
    return tuple(map(plain, value)) if isinstance(value, (list, tuple)) else value


class Asking(TorchDispatchMode):
    """Hands every op to the book and adds up what it says."""

    def __init__(self):
        super().__init__()
        self.products, self.unknown = 0, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        schema = function._schema
        defaults = {each.name: each.default_value for each in schema.arguments}
        names = [each.name for each in schema.arguments]
        arguments = {**defaults, **dict(zip(names, args, strict=False)), **(kwargs or {})}
        outputs = plain(result if isinstance(result, (list, tuple)) else (result,))
        arguments = {name: plain(value) for name, value in arguments.items()}
        asked = Call(
            schema.name.replace("::", "."),
            schema.overload_name,
            arguments,
            tuple(each if hasattr(each, "shape") else None for each in outputs),
        )
        found = multiplications(asked)
        if found is None or flops(asked) is None:
            self.unknown.add(schema.name)
        self.products += found or 0
        return result


def both(work):
    with FlopCounterMode(display=False) as counter:
        work()
    with Asking() as asking:
        work()
    assert asking.unknown == set()
    return counter.get_total_flops(), 2 * asking.products


def on_meta(module, *shapes):
    module = module.to("meta")
    return lambda: module(*(torch.randn(*shape, device="meta") for shape in shapes))


nn = torch.nn
FORWARD = {
    "linear": (nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)), (4, 5)),
    "bilinear bmm": (nn.MultiheadAttention(8, 2), (3, 2, 8), (5, 2, 8), (5, 2, 8)),
    "convolution": (nn.Conv2d(4, 6, 3, 2, 1), (2, 4, 9, 8)),
    "grouped": (nn.Conv1d(4, 6, 3, groups=2, dilation=2), (2, 4, 9)),
    "volume": (nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, 2), (2, 4, 5, 5)),
    "encoder": (nn.TransformerEncoderLayer(8, 2, 16), (5, 2, 8)),
}


@pytest.mark.parametrize("name", list(FORWARD))
def test_forward(name):
    module, *shapes = FORWARD[name]
    counter, book = both(on_meta(module, *shapes))
    assert book == counter > 0


def test_backward_without_groups():
    def work():
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2)).to("meta")
        module(torch.randn(2, 3, 4, 4, device="meta")).sum().backward()

    counter, book = both(work)
    assert book == counter > 0


def test_backward_with_groups_is_where_we_differ():
    """Forward and input gradient 864 each; weight gradient 864 here, 4 x 864 there."""

    def work():
        module = nn.Conv2d(4, 4, 3, padding=1, groups=4).to("meta")
        image = torch.randn(2, 4, 3, 4, device="meta", requires_grad=True)
        module(image).sum().backward()

    counter, book = both(work)
    assert book == 2 * 3 * 864
    assert counter == 2 * (2 + 4) * 864


@pytest.mark.parametrize("kind", ["flash", "efficient"])
def test_attention_forward_and_backward(kind):
    shape = (2, 4, 6, 8)
    query, key, value = (torch.empty(shape, device="meta", requires_grad=True) for _ in range(3))

    def work():
        kernel = getattr(torch.ops.aten, f"_scaled_dot_product_{kind}_attention")
        options = () if kind == "flash" else (None, True)
        kernel(query, key, value, *options)[0].sum().backward()

    counter, book = both(work)
    assert book == counter == 2 * 7 * 2 * 4 * 6 * 6 * 8


def test_plain_attention():
    shape = (2, 4, 6, 8)
    query = torch.empty(shape, device="meta")
    counter, book = both(lambda: nn.functional.scaled_dot_product_attention(query, query, query))
    assert book == counter == 2 * 2 * 2 * 4 * 6 * 6 * 8
