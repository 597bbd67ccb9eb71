"""The step: its phases, its loss, its optimizer, and whose work is whose."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from read.watching import watched
from torch import nn

import botec
from botec import Input
from botec.analyses.memory import memory
from botec.errors import BadInput, UnknownName
from botec.program import BIRTH, DEATH, OP, PHASE, PHASES, Program
from botec.read.step import blocks, optimizer_named, walk

X = Input("B", 4)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.inner(x)) + x


def net(depth: int = 3) -> nn.Module:
    return nn.Sequential(*[Block() for _ in range(depth)])


def ops(program: Program, phase: str) -> list[tuple[str, str]]:
    """The ops of a phase and the modules they belong to, in order."""
    stream, now, found = program.stream(), "", []
    for kind, index, scope in stream.events():
        if kind == PHASE:
            now = (*PHASES, "end")[index]
        elif kind == OP and now == phase:
            found.append((stream.calls[index].op.removeprefix("aten."), program.scopes[scope]))
    return found


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "momentum", "rmsprop", "adagrad"])
def test_the_ops_of_a_real_step(optimizer: str) -> None:
    """Forward, loss, backward and the second optimizer step, op for op, on real tensors."""
    module = net()
    program = botec.read(module, X, B=3, optimizer=optimizer)
    ours = [name for phase in PHASES for name, _ in ops(program, phase)]
    real = optimizer_named(optimizer, list(module.parameters()))
    x = torch.ones(3, 4)

    def step() -> None:
        module(x).mean().backward()
        real.step()
        real.zero_grad(set_to_none=True)

    step()
    marks = ("_record_function_enter_new", "_record_function_exit")
    assert ours == watched(step, marks).names


def test_phases_stand_once_and_in_order() -> None:
    trained = botec.read(net(), X, B=3).stream()
    phases = [index for kind, index, _ in trained.events() if kind == PHASE]
    assert phases == [0, 1, 2, 3]
    read = botec.read(net(), X, B=3, train=False).stream()
    assert [index for kind, index, _ in read.events() if kind == PHASE] == [0, 3]


def test_gradients_and_temporaries_are_gone_in_the_end() -> None:
    """What a step leaves is what it found: weights, buffers, inputs and the optimizer's states."""
    for optimizer in ("adamw", None):
        stream = botec.read(net(), X, B=3, optimizer=optimizer).stream()
        born = {index for kind, index, _ in stream.events() if kind == BIRTH}
        left = born - {index for kind, index, _ in stream.events() if kind == DEATH}
        roles = {stream.storages[number].role for number in left}
        kept = {"parameter", "input"} | ({"optimizer"} if optimizer else {"gradient"})
        assert roles - {"activation", "temporary"} == kept


def test_backward_belongs_to_the_module_that_went_forward() -> None:
    program = botec.read(net(), X, B=3)
    products = [scope for name, scope in ops(program, "backward") if name == "mm"]
    assert products == ["2.inner", "2.inner", "1.inner", "1.inner", "0.inner"]
    relus = [scope for name, scope in ops(program, "backward") if name == "threshold_backward"]
    assert relus == ["2", "1", "0"]


def test_checkpointing_does_the_blocks_again() -> None:
    """Forward work of the blocks twice; kept are their inputs and 5,056 bytes of random state."""
    plain, again = (botec.read(net(), X, B=4096, checkpoint=flag) for flag in (False, True))
    one, two = botec.count(plain), botec.count(again)
    assert two.multiplications("forward") == one.multiplications("forward")
    assert two.multiplications("backward") == (
        one.multiplications("backward") + one.multiplications("forward")
    )
    saved = [memory(program).saved().at(B=4096) for program in (plain, again)]
    assert saved[1] < saved[0]


def test_blocks_are_repeated_modules_of_one_class() -> None:
    module = nn.ModuleDict(
        {
            "stack": net(2),
            "leaves": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)),
            "mixed": nn.ModuleList([Block(), nn.ReLU()]),
            "one": nn.ModuleList([Block()]),
            "none": nn.ModuleList(),
        }
    )
    assert list(blocks(module)) == list(module["stack"])


class Says(nn.Module):
    """Returns what ``how`` makes of its layer's result."""

    def __init__(self, how: Any) -> None:
        super().__init__()
        self.layer, self.how = nn.Linear(4, 4), how

    def forward(self, x: Any) -> Any:
        return self.how(self.layer(x))


OUTPUTS = {
    "tensor": (lambda y: y, "mean of the first floating output"),
    "tuple": (lambda y: (torch.ones(3, dtype=torch.long), [y, y]), "mean of the first floating"),
    "dict": (lambda y: {"out": y}, "mean of the first floating output"),
    "number": (lambda y: y.sum(), "the model's output"),
    "own loss": (lambda y: {"loss": y.sum(), "out": y}, "the model's own"),
    "own loss in rows": (lambda y: {"loss": y.sum(1)}, "the model's own"),
    "attribute": (lambda y: SimpleNamespace(loss=y.mean()), "the model's own"),
    "no loss yet": (lambda y: {"loss": None, "out": y}, "mean of the first floating output"),
    "first has no gradient": (lambda y: (y.detach(), y), "mean of the first floating output"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_loss(name: str) -> None:
    how, loss = OUTPUTS[name]
    program = botec.read(Says(how), X, B=3)
    assert program.setting.loss.startswith(loss)
    assert botec.count(program).multiplications("backward") == 3 * 16


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        (lambda y: None, "NoneType"),
        (lambda y: y.detach(), "float32"),
        (lambda y: y.long(), "int64"),
    ],
)
def test_no_output_to_train_on(how: Any, seen: str) -> None:
    with pytest.raises(BadInput) as caught:
        botec.read(Says(how), X, B=3)
    assert str(caught.value) == (
        "Says at B=3: no floating output depends on a trained parameter; it returned "
        f"{seen}; return a floating tensor, or use --infer"
    )


def test_walking_an_output() -> None:
    a, b, c = (torch.zeros(n) for n in (1, 2, 3))
    assert [len(t) for t in walk({"x": [a, (b, None)], "y": {"z": c}, "n": 7})] == [1, 2, 3]


def test_optimizers_by_name() -> None:
    weights = [nn.Parameter(torch.zeros(2))]
    assert type(optimizer_named("AdamW", weights)) is torch.optim.AdamW
    momentum = optimizer_named("sgd-momentum", weights)
    assert (type(momentum), momentum.defaults["momentum"]) == (torch.optim.SGD, 0.9)
    with pytest.raises(
        UnknownName, match=r"--optimizer: no optimizer 'adamx' in torch\.optim; did"
    ):
        optimizer_named("adamx", weights)
    with pytest.raises(UnknownName, match="use one of adadelta, adafactor"):
        optimizer_named("zzzz", weights)


def test_an_optimizer_that_refuses_the_weights() -> None:
    with pytest.raises(BadInput, match=r"--optimizer: Muon refuses: .*2D.*; choose another"):
        botec.read(nn.Linear(4, 4), X, B=3, optimizer="muon")


def test_states_stand_from_the_start() -> None:
    """Two averages of every weight, born before the forward pass, under their weight's name."""
    program = botec.read(nn.Linear(4, 4), X, B=3)
    states = [s for s in program.stream().storages if s.role == "optimizer"]
    names = {s.name for s in states}
    assert {"weight:exp_avg", "weight:exp_avg_sq", "bias:exp_avg", "bias:exp_avg_sq"} <= names
    assert sum(s.bytes for s in states if "exp_avg" in s.name) == 2 * 4 * 20


def test_labels_are_for_training_only() -> None:
    class WithLabels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Any, labels: Any = None) -> Any:
            y = self.layer(x)
            if labels is None:
                return y
            return {"loss": nn.functional.cross_entropy(y, labels), "y": y}

    labels = Input("B", dtype="int64", name="labels", below=3, only="train")
    trained = botec.read(WithLabels(), X, labels, B=5)
    assert trained.setting.loss == "the model's own"
    assert "labels=B:int64" in trained.setting.inputs
    read = botec.read(WithLabels(), X, labels, B=5, train=False)
    assert read.setting.inputs == ("input=B,4:float32",)
