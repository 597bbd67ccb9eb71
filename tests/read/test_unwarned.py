"""A warning that looks at tokens: left out, said, and without a trace in what is computed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from botec.read import read  # noqa: E402
from botec.read.doors import open_source  # noqa: E402
from botec.read.unwarned import CHECK, NOTE, silent, unwarned  # noqa: E402

if find_spec("transformers") is None:
    pytest.skip("transformers is not installed", allow_module_level=True)

SMALL = (
    "num_hidden_layers=1,hidden_size=32,num_attention_heads=2,intermediate_size=16,vocab_size=40"
)
MODEL = f"transformers:layoutlm?{SMALL}"


def test_a_model_that_checks_is_read_and_says_so() -> None:
    program = read(MODEL, S=9)
    assert NOTE in program.notes
    assert program.streams[0].regime.least == {"B": 2, "S": 2}
    assert NOTE not in read("transformers:gpt2?n_layer=1,n_embd=24,n_head=2,vocab_size=40").notes


def test_documents_have_boxes() -> None:
    names = [one.name for one in open_source(MODEL).inputs]
    assert names == ["input_ids", "bbox", "labels"]


def test_what_is_computed_is_the_same() -> None:
    """A real run with the check and one without it, on the same tokens and weights."""
    network = open_source(MODEL).build()
    torch.manual_seed(0)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    network.eval()
    tokens, boxes = torch.randint(1, 40, (2, 7)), torch.randint(0, 99, (2, 7, 4)).sort(-1).values
    without = output(network, tokens, boxes)
    for part in network.modules():
        part.__dict__.pop(CHECK, None)
    asked: list[Any] = []

    class Watched(type(network.layoutlm)):  # type: ignore[misc]
        def warn_if_padding_and_no_attention_mask(self, *given: Any) -> None:
            asked.append(given)
            super().warn_if_padding_and_no_attention_mask(*given)

    network.layoutlm.__class__ = Watched
    assert torch.equal(output(network, tokens, boxes), without)
    assert asked  # the check did run
    assert unwarned(network).layoutlm.__dict__[CHECK] is silent
    assert torch.equal(output(network, tokens, boxes), without)
    assert len(asked) == 1


def output(network: Any, tokens: Any, boxes: Any) -> Any:
    with torch.no_grad():
        return network(input_ids=tokens, bbox=boxes).logits
