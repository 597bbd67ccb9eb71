"""Live bytes when each op has returned, beside real steps on the CPU: networks, then settings.

Both sides are the same step of a run that goes on. The steps, and what may differ with its cause,
stand in :mod:`corridor.cases`; `docs/real-steps.md` has the numbers of all of them.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from corridor.cases import CASES, STACK, TOKENS, Case, Stack
from corridor.stepping import SCALARS, Beside, both

import botec

LEAST = 0.96  # the share of real ops with a counterpart; the others are names in the assertion
QUICK = {
    *("unet, adamw", "unet, infer", "lstm, sgd", "vit, adamw"),
    *("two micro-batches", "kept", "dropped between, two", "first step", "scaler"),
    *("copies and scaler", "adagrad(fused=True)", "adafactor(foreach=True)"),
    *("blocks", "every second, reentrant", "products kept"),
    *("first ones frozen", "biases alone", "adapters, checkpointed"),
    *("many blocks, adamw", "many blocks, again: products kept"),
}


def check(found: Beside, known: Any = (), numbers: int = SCALARS) -> None:
    apart = [one for one in found.apart(numbers) if one[0] not in known]
    assert not apart, apart[:5]
    assert found.share >= LEAST, found.theirs
    assert len(found.pairs) > 5


def marked(case: Case) -> Any:
    """Some in every run, the others where slow ones are asked for."""
    quick = case.name in QUICK or case.name.removeprefix("blocks, ") in QUICK
    return pytest.param(case, id=case.name, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize("case", list(map(marked, CASES.values())))
def test_live_bytes_when_each_op_has_returned(case: Case) -> None:
    if "lora" in case.choices:
        pytest.importorskip("peft")
    found, program, real = case.run()
    if case.whole:
        assert f"aten::{case.whole}" in {op for op, _ in real.boundaries}
        assert abs(botec.memory(program).fullest.bytes - real.peak) <= SCALARS
        return
    check(found, case.known, case.numbers)


def test_every_quick_one_is_there() -> None:
    assert sum(not marked(case).marks for case in CASES.values()) == len(QUICK)


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023: the sign of an average of gradients."""

    def __init__(self, weights: Any, lr: float = 1e-4) -> None:
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for weight in (weight for group in self.param_groups for weight in group["params"]):
            state = self.state[weight]
            if not state:
                state["average"] = torch.zeros_like(weight)
            weight.add_(state["average"].lerp(weight.grad, 0.1).sign_(), alpha=-1e-4)
            state["average"].lerp_(weight.grad, 0.01)


def test_an_optimizer_of_the_users_own() -> None:
    for maker in (Lion, lambda weights: Lion(weights, 0.1)):
        found, program, _ = both(*STACK, optimizer=Lion, maker=maker)
        check(found)
        assert program.setting.optimizer.endswith("Lion")


# --- the page ------------------------------------------------------------------------------------

ROW = {
    "name": "resnet50, sgd", "ops": 100, "share": 1.0, "numbers": SCALARS, "apart": ["mul", 8],
    "known": {}, "whole": "", "ours": 990, "between": 990, "peak": 1000,
    "scratch": ["aten::convolution", 10],
}  # fmt: skip


def test_the_page_names_what_differs() -> None:
    from benchmarks.real_steps import page

    rows = {
        "resnet50, sgd": ROW,
        "vit, infer": {**ROW, "name": "vit, infer", "whole": "a_layer", "between": 5, "peak": 990},
        "unet, sgd": {**ROW, "name": "unet, sgd", "apart": ["cat", -4096]},
        "gru, sgd": {"name": "gru, sgd", "failed": "ValueError: no"},
    }
    said = page(rows)
    assert "**2 of 4 steps are equal at every op**" in said
    assert "2 differ: unet, sgd, gru, sgd." in said
    assert "| unet, sgd | 100 (100.0 %) | 4096 B | 990 | 990 | +0.000 % |" in said
    assert "| vit, infer |  |  | 990 |  | +0.000 % | 990 |" in said


# --- the judge can fail ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "done"),
    [
        ({"zero_grad": "after"}, {"zero_grad": "keep"}),
        ({"optimizer": "adamw"}, {"optimizer": "sgd(momentum=0.9,nesterov=True)"}),
        ({"precision": "bf16"}, {"precision": "bf16", "master": True}),
        ({"accumulate": 1}, {"accumulate": 2}),
    ],
)
def test_another_setting_is_seen(asked: Any, done: Any) -> None:
    """What one setting does is not what another does: the comparison tells them apart."""
    from corridor import stepping

    program = botec.read(Stack(), *TOKENS, **{**STACK[1], **asked})
    setting = stepping.settle(
        True, done.get("optimizer", "adamw"), done.get("precision", "fp32"), "cpu", False,
        **{key: value for key, value in done.items() if key not in ("optimizer", "precision")},
    )  # fmt: skip
    live, _ = stepping.real_live(stepping.loop_of(*STACK, None, None, setting))
    with pytest.raises(AssertionError):
        check(stepping.beside(stepping.traced_live(program), live))
