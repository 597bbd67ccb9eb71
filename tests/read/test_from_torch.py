"""A user's own module is read and left as it was, whatever happens on the way."""

from __future__ import annotations

import gc
import logging
import warnings
from typing import Any

import pytest
import torch
from torch import nn

import botec
from botec import Input
from botec.errors import BadInput, DataDependent, ModelFailed, UnknownName
from botec.read.from_torch import asked_point
from botec.read.source import Source

X = Input("B", 4)


class Own(nn.Module):
    """Everything a module can carry: buffers, tied and frozen weights, gradients, hooks, modes."""

    def __init__(self, fail: str = "") -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)
        self.last.weight = self.first.weight
        self.last.bias.requires_grad_(False)
        self.register_buffer("seen", torch.zeros(3))
        self.fail = fail

    def forward(self, x: Any) -> Any:
        self.seen += 1
        y = self.norm(self.first(x))
        if self.fail == "raises":
            raise KeyError("planned")
        if self.fail == "data" and y.sum() > 0:
            y = y * 2
        if self.fail == "shape":
            y = y @ torch.ones(7, 7, device=y.device)
        return self.last(y)


def made(fail: str = "") -> Own:
    module = Own(fail)
    for number, parameter in enumerate(module.parameters()):
        parameter.data.fill_(number)
        if parameter.requires_grad:
            parameter.grad = torch.full_like(parameter, 7.0)
    module.train()
    module.norm.eval()
    return module


def state(module: nn.Module) -> Any:
    """Which objects it holds, what is in them, and every mode."""
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]
    return [
        [(n, id(t), t.device.type, t.requires_grad, t.tolist()) for n, t in tensors],
        [(n, id(t.grad), t.grad.tolist()) for n, t in tensors if t.grad is not None],
        [(n, part.training) for n, part in module.named_modules()],
        [(n, sorted(vars(part))) for n, part in module.named_modules()],
    ]


def world() -> Any:
    """What botec borrows of the process while it reads."""
    return (
        nn.Module.__call__, torch.tensor, torch.as_tensor, nn.init.kaiming_uniform_,
        gc.isenabled(), gc.get_freeze_count(), torch.is_grad_enabled(),
        logging.root.manager.disable, list(warnings.filters), torch.get_default_dtype(),
        torch.zeros(()).device.type,
    )  # fmt: skip


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_module_is_left_as_it_was(train: bool, precision: str) -> None:
    module = made()
    before, around = state(module), world()
    program = botec.read(module, X, B=4, train=train, precision=precision)
    assert state(module) == before
    assert world() == around
    assert len(program.parameters) == 5, "the tied weight once"


@pytest.mark.parametrize(
    ("fail", "kind", "text"),
    [
        ("raises", ModelFailed, "Own at B=4: running it raised KeyError: 'planned'"),
        ("data", DataDependent, "needs a value that only real data gives (test_from_torch.py"),
        ("shape", ModelFailed, "Own at B=4: running it raised RuntimeError"),
    ],
)
def test_also_when_it_raises(fail: str, kind: type[Exception], text: str) -> None:
    module = made(fail)
    before, around = state(module), world()
    with pytest.raises(kind) as caught:
        botec.read(module, X, B=4)
    assert text in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert state(module) == before
    assert world() == around


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        botec.read(made(), X, B=4)
        assert gc.isenabled() == enabled
        with pytest.raises(ModelFailed):
            botec.read(made("raises"), X, B=4)
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_what_an_application_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        botec.read(nn.Linear(4, 4), X, B=4)
        # some of what was frozen ends its own life meanwhile; a thaw would leave nothing
        assert gc.get_freeze_count() > 0.9 * before > 0
    finally:
        gc.unfreeze()


def test_the_users_hooks_run() -> None:
    module, heard = made(), []
    module.first.register_forward_pre_hook(lambda m, args: heard.append("before"))
    module.first.register_forward_hook(lambda m, args, out: heard.append("after") or out * 2)
    plain = botec.count(botec.read(made(), X, B=4)).flops("forward")
    hooked = botec.count(botec.read(module, X, B=4)).flops("forward")
    assert heard[:2] == ["before", "after"]
    assert hooked == plain + 4 * 4, "the doubling is counted"


def test_a_module_that_works_afterwards() -> None:
    module = made().train(False)
    x = torch.ones(2, 4)
    before = module(x)
    botec.read(module, X, B=4)
    assert torch.equal(module(x), before)


def test_the_same_question_has_the_same_answer() -> None:
    module = made()
    one, two = (botec.estimate(module, X, B=4) for _ in range(2))
    assert one.figures == two.figures


def test_a_module_already_on_the_meta_device() -> None:
    with torch.device("meta"):
        module = nn.Linear(4, 4)
    weight = module.weight
    assert botec.count(botec.read(module, X, B=2)).multiplications("forward") == 32
    assert module.weight is weight


def test_what_forward_keeps_is_not_left_behind() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.last = torch.zeros(1)

        def forward(self, x: Any) -> Any:
            self.last = self.layer(x)
            return self.last

    module = Keeps()
    botec.read(module, X, B=2)
    assert module.last.device.type == "cpu"


def test_a_lazy_layer_is_refused_in_one_line() -> None:
    with pytest.raises(botec.BotecError):
        botec.read(nn.Sequential(nn.LazyLinear(3)), X, B=2)


# -- the asked point -----------------------------------------------------------------------------

SOURCE = Source(
    "net", nn.Identity, (Input("B", "S"), Input("B", "T", only="train")), {"S": 9}, {"S": 32}
)


def test_a_point_is_the_users_then_the_sources_then_one() -> None:
    setting = botec.program.Setting()
    assert asked_point(SOURCE, setting, {}) == {"B": 1, "S": 9, "T": 1}
    assert asked_point(SOURCE, setting, {"B": 3, "T": 5}) == {"B": 3, "S": 9, "T": 5}
    assert asked_point(SOURCE, setting, {"S": 32})["S"] == 32


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"S": 33}, "S=33: the model has positions up to S=32; ask for S=32 or less"),
        ({"H": 7}, "H=7: no dimension H; the inputs have B, S, T; name dimensions in --input, "
                   "such as x=B,3,224,224"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(asked: dict[str, int], text: str) -> None:
    with pytest.raises(BadInput) as caught:
        asked_point(SOURCE, botec.program.Setting(), asked)
    assert str(caught.value) == text


def test_no_dimensions_at_all() -> None:
    with pytest.raises(BadInput, match="no dimension B; the inputs name none"):
        botec.read(nn.Linear(4, 4), Input(2, 4), B=3)
    program = botec.read(nn.Linear(4, 4), Input(2, 4))
    assert program.asked == {}
    assert len(program.streams) == 1
    assert program.streams[0].regime.holds({})


REFUSED = [
    ({"precision": "fp8"}, BadInput, "precision 'fp8' is not known"),
    ({"optimizer": "adamm"}, UnknownName, "no optimizer 'adamm' in torch.optim; did you mean"),
    ({"checkpoint": True}, BadInput, "the model has no repeated blocks; leave --checkpoint out"),
    ({"B": 0}, BadInput, "B=0: B is 0; give a whole number from 1"),
    ({"B": 2.5}, BadInput, "B=2.5: B is 2.5; give a whole number from 1"),
    ({"B": True}, BadInput, "B=True: B is True; give a whole number from 1"),
]


@pytest.mark.parametrize(("options", "kind", "text"), REFUSED)
def test_settings_that_mean_nothing(options: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        botec.read(nn.Linear(4, 4), X, **{"B": 2, **options})
    assert text in str(caught.value)


def test_nothing_to_train() -> None:
    with pytest.raises(BadInput) as caught:
        botec.read(nn.ReLU(), X, B=2)
    assert str(caught.value) == (
        "ReLU: the model has no parameter that requires a gradient; use --infer"
    )
    assert botec.read(nn.ReLU(), X, B=2, train=False).parameters == ()


def test_the_experts_one_token_uses() -> None:
    """Two of eight: an eighth of the stacked weight times two, everything else whole."""

    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(8, 8, bias=False)
            self.stack = nn.Parameter(torch.zeros(8, 8, 16))

        def forward(self, x: Any) -> Any:
            weights, _ = self.gate(x).softmax(-1).topk(2, -1)
            rows = x.repeat_interleave(2, 0)
            ends = torch.full((8,), x.shape[0] // 4, dtype=torch.int32, device=x.device).cumsum(0)
            made = torch._grouped_mm(rows, self.stack, ends.to(torch.int32))
            return made * weights.flatten()[:, None]

    program = botec.read(Experts(), Input("B", 8), B=4, train=False)
    share = {one.names[0]: one.active for one in program.parameters}
    assert share == {"gate.weight": (1, 1), "stack": (2, 8)}
