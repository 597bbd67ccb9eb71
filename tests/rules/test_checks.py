"""Every rule against something that shares no code with it, inside the range it names.

A check gives pairs (rule, judge, tolerance). It is asked twice: about the rule, where each pair
must agree, and about the rule made half as large again, where one must not.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from botec.read.from_torchvision import declare_schemas
from botec.rules.book import Rule, book

Pairs = Iterator[tuple[float, float, float]]
CHECKS: dict[str, Callable[[Rule], Pairs]] = {}
EXACT = 1e-12
n, K, L = 6, 8, 5


def check(name: str) -> Callable[[Callable[[Rule], Pairs]], Callable[[Rule], Pairs]]:
    def declare(one: Callable[[Rule], Pairs]) -> Callable[[Rule], Pairs]:
        CHECKS[name] = one
        return one

    return declare


def products(step: Callable[[], Any]) -> float:
    """Multiplications as torch's own counter sees them (it counts two for each)."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 2


def stack(width: int = K, layers: int = L) -> nn.Sequential:
    return nn.Sequential(*[nn.Linear(width, width, bias=False) for _ in range(layers)])


def run(rows: int = n, width: int = K, layers: int = L, into: bool = True) -> tuple[float, float]:
    """Counted multiplications of a forward, and of a step; ``into``: the input wants a gradient."""
    network, x = stack(width, layers), torch.ones(rows, width, requires_grad=into)
    return products(lambda: network(x)), products(lambda: network(x).sum().backward())


@check("three forwards")
def step_of_products(rule: Rule) -> Pairs:
    forward, step = run()
    yield rule(forward), step, EXACT


@check("two forwards")
def backward_of_products(rule: Rule) -> Pairs:
    forward, step = run()
    yield rule(forward), step - forward, EXACT


@check("backward is one forward")
def frozen_weights(rule: Rule) -> Pairs:
    network, x = stack().requires_grad_(False), torch.ones(n, K, requires_grad=True)
    forward = products(lambda: network(x))
    yield rule(forward), products(lambda: network(x).sum().backward()), EXACT


@check("two per parameter and token")
def forward_by_parameters(rule: Rule) -> Pairs:
    forward, _ = run()
    yield rule(L * K * K, n), 2 * forward, EXACT


@check("six per parameter and token")
def step_by_parameters(rule: Rule) -> Pairs:
    _, step = run()
    yield rule(L * K * K, n), 2 * step, EXACT


def attend(width: int, tokens: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.ones(n, tokens, width, requires_grad=True) for _ in range(3))


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.transpose(1, 2), -1) @ v


@check("attention is quadratic")
def written_attention(rule: Rule) -> Pairs:
    operands = attend(K, 10)
    yield rule(n, 10, K, 1), 2 * products(lambda: attention(*operands)), EXACT


@check("weights and attention")
def weights_beside_attention(rule: Rule) -> Pairs:
    operands = attend(K, 10)
    _, weights = run(rows=n * 10)
    both = weights + products(lambda: attention(*operands).sum().backward())
    yield rule(L * K * K, 1, 2, K // 2, 10, n * 10), 2 * both, EXACT


@check("square of the width")
def one_layer(rule: Rule) -> Pairs:
    forward, _ = run(layers=1)
    yield rule(n, K), forward, EXACT


@check("forward of equal layers")
def equal_layers(rule: Rule) -> Pairs:
    forward, _ = run()
    yield rule(n, K, L), forward, EXACT


@check("step of equal layers")
def equal_layers_step(rule: Rule) -> Pairs:
    _, wanted = run()
    yield rule(n, K, L), wanted, EXACT
    _, without = run(into=False)
    yield rule(n, K, L) - n * K * K, without, EXACT  # what its range says of the first layer


@check("product of neighbours")
def neighbours(rule: Rule) -> Pairs:
    layer = nn.Linear(784, 30)
    yield rule(784, 30), products(lambda: layer(torch.ones(1, 784))), EXACT


@check("thirty thirty thirty")
def three_layers(rule: Rule) -> Pairs:
    network = stack(30, 2)
    yield rule(30, 30, 30), products(lambda: network(torch.ones(1, 30))), EXACT


class Counted(float):
    """A number that counts how often it is added to."""

    added = 0

    def __add__(self, other: float) -> Counted:
        Counted.added += 1
        return Counted(float(self) + other)


@check("sums and activations")
def sums(rule: Rule) -> Pairs:
    """A sum over N products and a bias, begun at zero as a loop does, then one activation."""
    Counted.added = activations = 0
    for _ in range(30):
        total = Counted(0)
        for term in [1.0] * 784 + [0.5]:
            total = total + term
        activations += 1
    yield rule(784, 30), Counted.added + activations, EXACT


@check("convolution products")
def convolution(rule: Rule) -> Pairs:
    layer = nn.Conv2d(3, 5, 4, stride=2)
    out = layer(torch.ones(n, 3, 20, 24))
    counted = products(lambda: layer(torch.ones(n, 3, 20, 24)))
    yield rule(n, 3, 4, 5, *out.shape[2:]), counted, EXACT


def seen(layers: nn.Module, size: int = 64) -> int:
    """How many places of a line the middle place of the output depends on: its gradient's."""
    line = torch.ones(1, 1, size, requires_grad=True)
    for layer in layers:  # type: ignore[attr-defined]
        nn.init.ones_(layer.weight)
    out = layers(line)
    out[0, 0, out.shape[2] // 2].backward()
    return int((line.grad != 0).sum())  # type: ignore[union-attr]


@check("output places")
def places_of_a_convolution(rule: Rule) -> Pairs:
    for size, kernel, stride, padding in ((224, 7, 2, 3), (15, 4, 3, 0), (9, 1, 2, 0)):
        layer = nn.Conv1d(1, 1, kernel, stride, padding)
        made = layer(torch.ones(1, 1, size)).shape[2]
        yield rule(size, kernel, stride, padding), made, EXACT


@check("input places")
def smallest_input(rule: Rule) -> Pairs:
    for wanted, kernel, stride, padding in ((12, 7, 2, 3), (5, 4, 3, 0)):
        layer = nn.Conv1d(1, 1, kernel, stride, padding)
        sizes = range(max(1, kernel - 2 * padding), 64)
        made = {size: layer(torch.ones(1, 1, size)).shape[2] for size in sizes}
        least = min(size for size, out in made.items() if out >= wanted)
        yield rule(wanted, kernel, stride, padding), least, EXACT


@check("reach of a chain")
def places_behind_three_layers(rule: Rule) -> Pairs:
    layers = nn.Sequential(nn.Conv1d(1, 1, 5, 2), nn.Conv1d(1, 1, 3, 3), nn.Conv1d(1, 1, 3))
    yield rule(5, 2, 3, 3, 3), seen(layers), EXACT


@check("reach with padding")
def places_behind_padding(rule: Rule) -> Pairs:
    yield rule(3, 1), seen(nn.Sequential(nn.Conv1d(1, 1, 3, padding=1))), EXACT


@check("separable share")
def separable(rule: Rule) -> Pairs:
    full = nn.Conv2d(6, 12, 3, padding=1, bias=False)
    parts = nn.Sequential(
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.Conv2d(6, 12, 1, bias=False)
    )
    x = torch.ones(1, 6, 9, 9)
    yield rule(12, 3), products(lambda: parts(x)) / products(lambda: full(x)), EXACT


def transform(points: list[complex], uses: list[int]) -> list[complex]:
    """A radix-2 transform that notes each use of a product."""
    size = len(points)
    if size == 1:
        return points
    even, odd = transform(points[::2], uses), transform(points[1::2], uses)
    turned = [cmath.exp(-2j * math.pi * k / size) * odd[k] for k in range(size // 2)]
    uses[0] += 2 * len(turned)
    return [e + t for e, t in zip(even, turned, strict=True)] + [
        e - t for e, t in zip(even, turned, strict=True)
    ]


@check("fast transform")
def fast(rule: Rule) -> Pairs:
    uses, points = [0], [complex(k % 5, k % 3) for k in range(64)]
    assert np.allclose(transform(points, uses), np.fft.fft(points))
    yield rule(64), uses[0], EXACT


@check("direct transform")
def direct(rule: Rule) -> Pairs:
    matrix = np.exp(-2j * np.pi * np.outer(range(64), range(64)) / 64)
    assert np.allclose(matrix @ np.arange(64), np.fft.fft(np.arange(64)))
    yield rule(64), matrix.size, EXACT


@check("numbers to train")
def kept_for_training(rule: Rule) -> Pairs:
    """What autograd really keeps, the weights aside, beside weights and gradients."""
    network, x, kept = stack(), torch.ones(n, K), {}
    weights = {p.untyped_storage()._cdata for p in network.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage()._cdata not in weights:
            kept[tensor.untyped_storage()._cdata] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(x).sum().backward()
    numbers = sum(p.numel() + p.grad.numel() for p in network.parameters() if p.grad is not None)
    yield rule(n, K, L), numbers + sum(kept.values()), EXACT


@check("numbers to infer")
def alive_when_inferring(rule: Rule) -> Pairs:
    """Two tensors at a time: the one a layer reads and the one it writes."""
    network, x, most = stack(), torch.ones(n, K), 0
    with torch.no_grad():
        for layer in network:
            y = layer(x)
            most = max(most, x.numel() + y.numel())
            x = y
    yield rule(n, K, L), most + sum(p.numel() for p in network.parameters()), EXACT


@check("cache of keys and values")
def real_cache(rule: Rule) -> Pairs:
    declare_schemas()
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32, intermediate_size=16, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=11,
    )  # fmt: skip
    ids = torch.zeros(2, 7, dtype=torch.int64)
    cache = LlamaForCausalLM(config)(ids, use_cache=True).past_key_values
    held = [t for layer in cache.layers for t in (layer.keys, layer.values)]
    size = sum(t.numel() * t.element_size() for t in held)
    yield rule(2, 3, 2, 8, 7, 4), size, EXACT


@check("root of the layers")
def best_stretch(rule: Rule) -> Pairs:
    for layers in (16, 64, 144):
        yield rule(layers), min(k + layers / k for k in range(1, layers + 1)), EXACT


@check("adam keeps two")
def real_adam(rule: Rule) -> Pairs:
    layer = nn.Linear(7, 9)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 7)).sum().backward()
    optimizer.step()
    kept = [t.numel() for state in optimizer.state.values() for t in state.values() if t.dim()]
    yield rule(7 * 9 + 9), sum(kept), EXACT


@check("low rank numbers")
def real_lora(rule: Rule) -> Pairs:
    peft = pytest.importorskip("peft")
    model = nn.Sequential(nn.Linear(12, 20))
    model = peft.get_peft_model(model, peft.LoraConfig(r=3, target_modules=["0"]))
    yield rule(3, 20, 12), sum(p.numel() for p in model.parameters() if p.requires_grad), EXACT


@check("decode speed")
def reading_in_turn(rule: Rule) -> Pairs:
    """Weights read piece by piece on a clock."""
    pieces, bandwidth = [3e9, 1.5e9, 2.5e9], 1e12
    clock = sum(piece / bandwidth for _ in range(10) for piece in pieces)
    yield rule(bandwidth, sum(pieces)), 10 / clock, 1e-9


@check("ring all reduce")
def ring(rule: Rule) -> Pairs:
    """Devices that really pass pieces round a ring until all hold the sum."""
    devices = 5
    data = np.random.default_rng(0).normal(size=(devices, devices))
    held, sent = data.copy(), 0
    for turn in range(2 * (devices - 1)):
        before = held.copy()
        for device in range(devices):
            piece, after = (device - turn) % devices, (device + 1) % devices
            value = before[device, piece]
            held[after, piece] = value if turn >= devices - 1 else before[after, piece] + value
        sent += 1
    assert np.allclose(held, data.sum(0))
    yield rule(devices), sent / devices, EXACT


@check("pipeline bubble")
def pipeline(rule: Rule) -> Pairs:
    """Micro-batches pass stages forward, then back: each begins when it and its stage are free."""
    stages, batches = 4, 6
    free, ready = [0.0] * stages, [0.0] * batches
    for stage in (*range(stages), *reversed(range(stages))):
        for batch in range(batches):
            free[stage] = ready[batch] = max(free[stage], ready[batch]) + 1
    work = 2 * batches
    yield rule(stages, batches), (max(free) - work) / work, EXACT


@check("amdahl")
def partly_faster(rule: Rule) -> Pairs:
    work = [1.0] * 100
    after = sum(work[:10]) + sum(one / 8 for one in work[10:])
    yield rule(0.9, 8), sum(work) / after, 1e-9


@check("adam step")
def adam_moves(rule: Rule) -> Pairs:
    for scale in (1e-3, 1.0, 1e3):
        w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([w], lr=0.01)
        for _ in range(20):
            before = w.item()
            w.grad = torch.full_like(w, scale)
            optimizer.step()
        yield rule(0.01), before - w.item(), 1e-4  # ε is 1e-8 beside 1e-3


@check("momentum gain")
def momentum_moves(rule: Rule) -> Pairs:
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    for _ in range(400):
        before = w.item()
        w.grad = torch.ones_like(w)
        optimizer.step()
    yield rule(0.9), (before - w.item()) / 0.1, 1e-9


@check("linear scaling")
def many_small_steps(rule: Rule) -> Pairs:
    """On a slope that is the same everywhere, k steps are one of k times the rate."""
    ends = []
    for rate, steps in ((0.1, 8), (rule(8, 0.1), 1)):
        w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=rate)
        for _ in range(steps):
            w.grad = torch.full_like(w, 0.5)
            optimizer.step()
        ends.append(w.item())
    yield ends[1], ends[0], 1e-9


@check("square root scaling")
def spread_of_steps(rule: Rule) -> Pairs:
    noise = np.random.default_rng(1).normal(size=(40_000, 4))
    spread = (rule(4, 0.1) * noise.mean(1)).std()
    yield spread, (0.1 * noise[:, 0]).std(), 0.02  # 40,000 draws: 0.35 % each


@check("passes of differences")
def count_passes(rule: Rule) -> Pairs:
    """A gradient really made by one-sided differences, its forward passes counted."""
    torch.manual_seed(0)
    layer, passes = nn.Linear(3, 2).double(), [0]
    weights = torch.nn.utils.parameters_to_vector(layer.parameters()).detach()

    def loss(flat: torch.Tensor) -> torch.Tensor:
        passes[0] += 1
        matrix, bias = flat[:6].reshape(2, 3), flat[6:]
        return torch.tanh(matrix @ torch.arange(3.0).double() + bias).sum()

    here = loss(weights)
    moved = [loss(weights + 1e-6 * one) for one in torch.eye(8).double()]
    gradient = torch.stack([(there - here) / 1e-6 for there in moved])
    wanted = weights.clone().requires_grad_()
    count, _ = passes[0], loss(wanted).backward()
    assert torch.allclose(gradient, wanted.grad, atol=1e-4)  # type: ignore[arg-type]
    yield rule(8), count, EXACT


@check("power of the weight")
def linear_recurrence(rule: Rule) -> Pairs:
    """Through a normal matrix: its largest eigenvalue, by autograd."""
    matrix = torch.diag(torch.tensor([0.9, 0.5], dtype=torch.float64))
    h = torch.ones(2, dtype=torch.float64, requires_grad=True)
    state = h
    for _ in range(50):
        state = matrix @ state
    (gradient,) = torch.autograd.grad(state.sum(), h)
    yield rule(0.9, 50), gradient.norm().item(), 1e-9


@check("first loss")
def equal_outputs(rule: Rule) -> Pairs:
    loss = functional.cross_entropy(torch.zeros(4, 1000).double(), torch.arange(4))
    yield rule(1000), loss.item(), 1e-9


@check("twenty tokens")
def the_model_it_is_named_after(rule: Rule) -> Pairs:
    """Chinchilla itself: 70 billion parameters, 1.4 trillion tokens (Hoffmann et al., table 4)."""
    yield rule(70e9), 1.4e12, EXACT


@check("two labels a weight")
def even_chances(rule: Rule) -> Pairs:
    """Cover's count of labellings: where half of them can be made."""
    weights = 20

    def share(points: int) -> float:
        made = 2 * sum(math.comb(points - 1, k) for k in range(weights))
        return made / 2**points

    yield rule(weights), min(p for p in range(1, 100) if share(p) <= 0.5), EXACT


@check("ten examples")
def excess_error(rule: Rule) -> Pairs:
    """Least squares with ten examples a parameter errs P/(n-P-1) = 11 % above the noise."""
    generator, parameters = np.random.default_rng(2), 20
    examples = int(rule(parameters))
    found = []
    for _ in range(400):
        x = generator.normal(size=(examples, parameters))
        weights = np.linalg.lstsq(x, generator.normal(size=examples), rcond=None)[0]
        found.append((weights**2).sum())
    yield float(np.mean(found)), parameters / (10 * parameters - parameters - 1), 0.05


@check("four times the weights")
def real_adam_in_one_precision(rule: Rule) -> Pairs:
    layer = trained_by_adam()
    yield rule(bytes_of(layer.parameters())), sum(states_of_adam(layer)), EXACT


@check("sixteen bytes a parameter")
def real_adam_in_all_bits(rule: Rule) -> Pairs:
    """All in 32 bits, and 16-bit weights and gradients beside a real optimizer's 32-bit copies."""
    layer = trained_by_adam()
    count = sum(p.numel() for p in layer.parameters())
    whole, gradients, averages = states_of_adam(layer)
    yield rule(count), whole + gradients + averages, EXACT
    halves = [p.detach().bfloat16() for p in layer.parameters()]
    halves += [p.grad.bfloat16() for p in layer.parameters() if p.grad is not None]
    yield rule(count), bytes_of(halves) + whole + averages, EXACT


def trained_by_adam() -> nn.Linear:
    layer = nn.Linear(16, 16)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(2, 16)).sum().backward()
    optimizer.step()
    layer.states = [t for state in optimizer.state.values() for t in state.values()]
    return layer


def states_of_adam(layer: nn.Linear) -> tuple[int, int, int]:
    """Bytes of weights, gradients and averages; the counters of steps have one entry."""
    gradients = [p.grad for p in layer.parameters() if p.grad is not None]
    averages = [t for t in layer.states if t.dim()]
    return bytes_of(layer.parameters()), bytes_of(gradients), bytes_of(averages)


def bytes_of(tensors: Any) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)


@check("twice the outputs")
def values_and_gradients(rule: Rule) -> Pairs:
    """A chain whose every output is kept, with the gradient it gets."""
    x, kept = torch.ones(n, K, requires_grad=True), []
    for _ in range(L):
        x = torch.tanh(x)
        x.retain_grad()
        kept.append(x)
    x.sum().backward()
    both = bytes_of(kept) + bytes_of([one.grad for one in kept])
    yield rule(n, bytes_of(kept) // n), both, EXACT


@check("weights and a fifth")
def published_inference(rule: Rule) -> Pairs:
    """LitGPT's table: Llama 2 13B in bfloat16 takes 26.21 GB; a fifth is meant as a bound."""
    yield rule(2 * 13_015_864_320), 26.21e9, 0.25


@check("activations of a block")
def what_autograd_keeps(rule: Rule) -> Pairs:
    from analyses.kept import kept_by_autograd, megatron_block

    x = torch.randn(24, 3, 64, dtype=torch.bfloat16, requires_grad=True)
    real = kept_by_autograd(megatron_block(64, 2).bfloat16(), x, least=24 * 3)
    yield rule(24, 3, 64, 2, 1), real, EXACT


@check("half of the inputs")
def a_real_layer(rule: Rule) -> Pairs:
    """A real ReLU layer: 4 million products; its own draw of the weights varies by 1 %."""
    torch.manual_seed(0)
    z, weight = torch.randn(2000, 512), torch.randn(512, 2048) / 16
    yield rule(512, 1 / 256), float((torch.relu(z) @ weight).pow(2).mean()), 0.02


@check("chrono forget bias")
def a_real_gate(rule: Rule) -> Pairs:
    yield rule(99), float(torch.logit(torch.tensor(1 - 1 / 100, dtype=torch.float64))), 1e-9


@check("steps of the radius")
def a_real_recurrence(rule: Rule) -> Pairs:
    """A rotation scaled by 0.9: every step of a real product shortens a gradient alike."""
    torch.manual_seed(0)
    matrix = 0.9 * torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64))[0]
    v = torch.randn(16, dtype=torch.float64)
    late = torch.linalg.matrix_power(matrix, 66) @ v
    slope = float((late.norm() / v.norm()).log()) / 66
    yield rule(0.9), -6.907755278982137 / slope, 1e-9


@check("operations over rate")
def published_training_rate(rule: Rule) -> Pairs:
    """llm-foundry's tables: a 30-billion model on 8 A100 does 173 Tflop/s a device (of 312), a
    70-billion one on 512 H100 408 (of 989). Forty per cent: the utilisations lie between."""
    yield rule(1e15, 312e12), 1e15 / 173e12, 0.4
    yield rule(1e15, 989e12), 1e15 / 408e12, 0.4


@check("step is three forwards")
def products_of_a_step(rule: Rule) -> Pairs:
    """A machine that does nothing but products takes as long as they are many."""
    forward, step = run()
    yield rule(forward / 1e9), step / 1e9, EXACT


@check("thousands are nothing")
def cycles(rule: Rule) -> Pairs:
    """5,000 products, one a cycle of a clock of 1 GHz: well under a millisecond."""
    cycle = 1 / 1e9
    yield rule(5000) * 1e6, sum([cycle] * 5000) * 1e6, 1e-9
    assert rule(5000) < 1e-4


@check("run over rate")
def published_run(rule: Rule) -> Pairs:
    """TinyLlama: 300e9 tokens at 24,000 a second and device took 3,456 device-hours. One in a
    hundred: both are rounded. What a token takes cancels."""
    operations = 6 * 1.1e9
    yield rule(operations, 300e9, 1, operations * 24_000), 3456 * 3600, 0.01


@check("ridge point")
def where_the_roof_bends(rule: Rule) -> Pairs:
    """The intensity from which a roofline no longer rises, found by walking along it."""
    peak, bandwidth = 312e12, 2.039e12
    walk = np.linspace(1, 1000, 999_001)
    roof = np.minimum(peak, bandwidth * walk)
    yield rule(peak, bandwidth), float(walk[np.argmax(roof >= peak)]), 1e-4


@check("glorot variance")
def drawn_by_xavier(rule: Rule) -> Pairs:
    """torch's own draw of 400,000 weights: 0.22 % of scatter in a variance."""
    torch.manual_seed(0)
    weights = torch.nn.init.xavier_normal_(torch.empty(800, 500).double())
    yield rule(500, 800), weights.var().item(), 0.02


@check("he deviation")
def a_deep_stack_of_relus(rule: Rule) -> Pairs:
    """One wide layer after another: the second moment behind ReLU stays half of what it was."""
    torch.manual_seed(0)
    x = torch.randn(64, 2000).double()
    before = functional.relu(x) @ (rule(2000) * torch.randn(2000, 2000).double())
    after = functional.relu(before) @ (rule(2000) * torch.randn(2000, 2000).double())
    yield after.pow(2).mean().item(), before.pow(2).mean().item(), 0.05  # 128,000 numbers a layer


def agrees(pairs: Pairs) -> bool:
    return all(given == pytest.approx(judged, rel=tolerance) for given, judged, tolerance in pairs)


@pytest.mark.parametrize("name", book())
def test_a_rule_agrees_with_its_judge(name: str) -> None:
    assert agrees(CHECKS[name](book()[name]))


@pytest.mark.parametrize("name", book())
def test_a_rule_half_as_large_again_is_found(name: str) -> None:
    rule = book()[name]
    wrong = replace(rule, formula=lambda *values: 1.5 * rule.formula(*values))
    assert not agrees(CHECKS[name](wrong))
