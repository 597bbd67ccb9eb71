"""Attention, forward and backward, against plain loops over counting numbers."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from botec.ops.facts import causal, flops, multiplications
from botec.poly import symbol
from tests.ops.calls_for import call, like, tensor
from tests.ops.counting import (
    Number,
    Table,
    dot,
    function,
    greatest_of,
    multiply_add,
    number,
    tally,
    total_of,
)

few = settings(max_examples=12, deadline=None)
size = st.integers(1, 4)


def tensors(b, h, shared, s, t, e, v):
    """Query with all heads, key and value with fewer."""
    make = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    return make(b, h, s, e), make(b, h // shared, t, e), make(b, h // shared, t, v)


def rows(table, b, h):
    return [table.row(b, h, place) for place in range(table.shape[2])]


def softmax(scores):
    top = greatest_of(scores)
    powers = [function("exp", score - top) for score in scores]
    bottom = total_of(powers)
    return [power / bottom for power in powers]


def forward_loops(query, key, value, scale, mask=None):
    """Scores, scale, mask, softmax, sums of values, query by query."""
    shared = query.shape[1] // key.shape[1]
    result = Table((*query.shape[:3], value.shape[3]))
    for b, h, s in itertools.product(*map(range, query.shape[:3])):
        scores = [dot(query.row(b, h, s), k) * scale for k in rows(key, b, h // shared)]
        if mask is not None:
            scores = [score + mask[(s, t)] for t, score in enumerate(scores)]
        shares = softmax(scores)
        for column in range(value.shape[3]):
            down = [row[column] for row in rows(value, b, h // shared)]
            result[(b, h, s, column)] = dot(shares, down)
    return result


def backward_loops(query, key, value, out, grad, lse, scale):
    """As a kernel that keeps no scores: they are formed again. Gradients of all three."""
    shared = query.shape[1] // key.shape[1]
    grads = [{}, {}, {}]

    def into(which, place, a, b):
        grads[which][place] = multiply_add(grads[which].get(place, number(0)), a, b)

    for b, h, s in itertools.product(*map(range, query.shape[:3])):
        q, do = query.row(b, h, s), grad.row(b, h, s)
        delta = total_of([a * c for a, c in zip(do, out.row(b, h, s), strict=True)])
        for t, (k, v) in enumerate(
            zip(rows(key, b, h // shared), rows(value, b, h // shared), strict=True)
        ):
            share = function("exp", dot(q, k) * scale - lse[(b, h, s)])
            slope = share * (dot(do, v) - delta) * scale
            for e, (one, other) in enumerate(zip(k, q, strict=True)):
                into(0, (b, h, s, e), slope, one)
                into(1, (b, h // shared, t, e), slope, other)
            for e, one in enumerate(do):
                into(2, (b, h // shared, t, e), share, one)
    return grads


def attention(names, query, key, value, **options):
    """The same call under several names."""
    given_operands = {"query": like(query), "key": like(key), "value": like(value)}
    shape = (*query.shape[:3], value.shape[3])
    return [call(name, shape, **given_operands, dropout_p=0.0, **options) for name in names]


FORWARD = [f"aten._scaled_dot_product_{kind}" for kind in (
    "flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention",
    "fused_attention_overrideable", "attention_math")]  # fmt: skip
BACKWARD = [f"{name}_backward" for name in FORWARD[:-1]]


@few
@given(size, st.sampled_from([(2, 1), (4, 2), (3, 3)]), size, size, size, size, st.booleans())
def test_forward(b, heads, s, t, e, v, masked):
    query, key, value = tensors(b, *heads, s, t, e, v)
    mask = torch.randn(s, t, dtype=torch.float64) if masked else None
    real = scaled_dot_product_attention(query, key, value, mask, scale=0.5, enable_gqa=True)
    tables = [Table.of(each) for each in (query, key, value)]
    done, result = tally(forward_loops, *tables, 0.5, Table.of(mask) if masked else None)
    assert result.values() == pytest.approx(real.flatten().tolist())
    bias = like(mask) if masked else None
    for asked in attention(FORWARD, query, key, value, attn_mask=bias, is_causal=False):
        assert multiplications(asked) == done["products"]
        assert flops(asked) == 2 * done["products"] + done["elementwise"]


@few
@given(size, st.sampled_from([(2, 1), (4, 2)]), size, size, size, size)
def test_backward(b, heads, s, t, e, v):
    query, key, value = tensors(b, *heads, s, t, e, v)
    leaves = [each.requires_grad_() for each in (query, key, value)]
    out = scaled_dot_product_attention(*leaves, scale=0.5, enable_gqa=True)
    grad = torch.randn_like(out)
    expected = torch.autograd.grad(out, leaves, grad)
    together = torch.repeat_interleave(key, heads[1], 1)
    lse = (query @ together.mT * 0.5).logsumexp(-1)
    tables = [Table.of(each.detach()) for each in (query, key, value, out, grad, lse)]
    done, grads = tally(backward_loops, *tables, 0.5)
    for found, real in zip(grads, expected, strict=True):
        assert [found[place].value for place in sorted(found)] == pytest.approx(
            real.flatten().tolist(), abs=1e-9
        )
    for asked in attention(BACKWARD, query, key, value, is_causal=False):
        assert multiplications(asked) == done["products"]
        assert flops(asked) == 2 * done["products"] + done["elementwise"]


def test_tokens_first_is_the_same_attention():
    first, second = tensor(2, 5, 4, 8), tensor(2, 7, 2, 8)
    value = tensor(2, 7, 2, 6)
    for name, per_pair in (("forward", 8 + 6), ("backward", 3 * 8 + 2 * 6)):
        for kernel, lengths in (("flash", "cum_seq_q"), ("efficient", "cu_seqlens_q")):
            operands = {"query": first, "key": second, "value": value, lengths: None}
            asked = call(
                f"aten._{kernel}_attention_{name}", (2, 5, 4, 6), **operands, dropout_p=0.0
            )
            assert multiplications(asked) == 2 * 4 * 5 * 7 * per_pair


def test_packed_sequences_are_unknown():
    packed = {"query": tensor(9, 4, 8), "key": tensor(9, 4, 8), "value": tensor(9, 4, 8)}
    lengths = tensor(4, dtype="int32")
    asked = call("aten._flash_attention_forward", (9, 4, 8), **packed, cum_seq_q=lengths,
                 dropout_p=0.0, is_causal=True)  # fmt: skip
    assert multiplications(asked) is None
    assert flops(asked) is None
    assert causal(asked) is None


def test_dropout_costs_two_per_score_forward_and_four_backward():
    operands = {"query": tensor(1, 2, 3, 4), "key": tensor(1, 2, 5, 4), "value": tensor(1, 2, 5, 4)}
    for name, more in ((FORWARD[0], 2), (BACKWARD[0], 4)):
        with_it, without = (call(name, (1, 2, 3, 4), **operands, dropout_p=p) for p in (0.1, 0.0))
        assert flops(with_it) - flops(without) == more * 2 * 3 * 5


@few
@given(size, size, st.integers(1, 7), size)
def test_causal_discount_counts_the_pairs_that_are_left(b, h, s, e):
    query = torch.empty(b, h, s, e)
    (forward,) = attention(FORWARD[:1], query, query, query, is_causal=True)
    pairs = sum(1 for i in range(s) for j in range(s) if j <= i)
    assert causal(forward) == b * h * pairs * 2 * e
    (backward,) = attention(BACKWARD[:1], query, query, query, is_causal=True)
    assert causal(backward) == b * h * pairs * 5 * e
    assert multiplications(forward) == b * h * s * s * 2 * e
    (whole,) = attention(FORWARD[:1], query, query, query, is_causal=False)
    assert causal(whole) is None


def test_causal_discount_in_letters():
    b, s = symbol("B"), symbol("S")
    shape = tensor(b, 4, s, 8)
    asked = call(FORWARD[0], (b, 4, s, 8), query=shape, key=shape, value=shape, is_causal=True)
    assert str(causal(asked)) == "32*B*S**2 + 32*B*S"
    assert causal(call("aten.mm", (2, 2), self=tensor(2, 2), mat2=tensor(2, 2))) is None


class Layer:
    """A transformer encoder layer in plain loops, its matrices as nested lists."""

    def __init__(self, module):
        self.state = {name: Table.of(each.detach()) for name, each in module.state_dict().items()}
        self.heads = module.self_attn.num_heads

    def linear(self, tokens, name, separator="."):
        weight, bias = (self.state[f"{name}{separator}{part}"] for part in ("weight", "bias"))
        out = range(weight.shape[0])
        return [[dot(weight.row(o), token, bias[(o,)]) for o in out] for token in tokens]

    def attention(self, tokens):
        """Heads stand side by side in queries, keys and values."""
        d, each = len(tokens[0]), len(tokens[0]) // self.heads
        qkv = self.linear(tokens, "self_attn.in_proj", "_")
        result = []
        for row in qkv:
            joined = []
            for head in range(self.heads):
                part = slice(head * each, (head + 1) * each)
                query = [number(x) * each**-0.5 for x in row[:d][part]]
                shares = softmax([dot(query, other[d : 2 * d][part]) for other in qkv])
                values = [other[2 * d :][part] for other in qkv]
                joined += [dot(shares, [value[c] for value in values]) for c in range(each)]
            result.append(joined)
        return self.linear(result, "self_attn.out_proj")

    def norm(self, tokens, name):
        weight, bias = (self.state[f"{name}.{part}"] for part in ("weight", "bias"))
        return [layer_norm(token, weight, bias) for token in tokens]

    def __call__(self, tokens):
        added = self.attention(tokens)
        tokens = self.norm(sums(tokens, added), "norm1")
        hidden = self.linear(tokens, "linear1")
        hidden = [[greatest_of([x, Number(0)]) for x in row] for row in hidden]
        return self.norm(sums(tokens, self.linear(hidden, "linear2")), "norm2")


def sums(left, right):
    return [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(left, right, strict=True)]


def layer_norm(token, weight, bias):
    n = len(token)
    mean = total_of(token) / n
    away = [x - mean for x in token]
    variance = total_of([x * x for x in away]) / n
    bottom = Number(1 / function("sqrt", variance + 1e-5).value)
    # The kernel subtracts the mean again when it normalises.
    return [(x - mean) * bottom * weight[(i,)] + bias[(i,)] for i, x in enumerate(token)]


def test_whole_encoder_layer():
    module = torch.nn.TransformerEncoderLayer(4, 2, 6, batch_first=True).double().eval()
    x = torch.randn(1, 3, 4, dtype=torch.float64)
    tokens = [[Number(value) for value in row] for row in x[0].tolist()]
    done, result = tally(Layer(module), tokens)
    found = [number.value for row in result for number in row]
    assert found == pytest.approx(module(x).flatten().tolist(), abs=1e-6)
    weights = {"ffn_weight_1": tensor(6, 4), "ffn_weight_2": tensor(4, 6)}
    asked = call("aten._transformer_encoder_layer_fwd", (1, 3, 4), src=tensor(1, 3, 4), num_heads=2,
                 embed_dim=4, mask=None, **weights)  # fmt: skip
    assert multiplications(asked) == done["products"]
    assert flops(asked) == 2 * done["products"] + done["elementwise"]


def test_whole_attention_layer():
    token = tensor(2, 5, 8)
    asked = call("aten._native_multi_head_attention", (2, 5, 8), query=token, key=token,
                 value=token, num_head=2, embed_dim=8, mask=None)  # fmt: skip
    projections, scores = 4 * 2 * 5 * 8 * 8, 2 * 2 * 5 * 5 * 4 * 2
    assert multiplications(asked) == projections + scores
