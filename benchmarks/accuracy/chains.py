"""Chains of one to ten equal layers: which activations a forward pass keeps (memsave_torch)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

import botec
from benchmarks.accuracy.rows import data, table, worked_out
from botec.analyses.memory import memory
from botec.program import BIRTH, DEATH, PHASE, PHASES

ORDER = 15
TITLE = "Which activations are saved: chains of layers (memsave_torch)"
LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "bn2d": (lambda: nn.BatchNorm2d(8), (256, 8, 256, 256)),
    "linear": (lambda: nn.Linear(256, 256, bias=False), (512, 1024, 256)),
    **{
        f"conv{transposed}{axes}d": (
            lambda axes=axes, name=name: getattr(nn, f"{name}{axes}d")(
                8, 8, 3, padding=1, bias=False
            ),
            {1: (4096, 8, 4096), 2: (256, 8, 256, 256), 3: (64, 8, 64, 64, 64)}[axes],
        )
        for transposed, name in (("", "Conv"), ("_transpose", "ConvTranspose"))
        for axes in (1, 2, 3)
    },
}
TRAINED = {
    "all": lambda place: True,
    "none": lambda place: False,
    "only 4th layer": lambda place: place == 3,
    "4th layer onward": lambda place: place >= 3,
}
ACTIVATION = 512.0  # MiB


class Chain(nn.Sequential):
    """Layers one after the other, all in one mode whatever the step says."""

    def __init__(self, layers: Iterable[nn.Module], mode: str) -> None:
        super().__init__(*layers)
        self.mode = mode

    def train(self, mode: bool = True) -> Chain:
        return super().train(self.mode == "train")


def activations(layer: str, mode: str, trained: str, layers: int) -> float:
    """The most activations alive at once in the forward pass, by botec's trace."""
    make, shape = LAYERS[layer]
    chain = Chain((make() for _ in range(layers)), mode)
    for place, part in enumerate(chain):
        part.requires_grad_(TRAINED[trained](place))
    grad = any(one.requires_grad for one in chain.parameters())
    program = botec.read(chain, botec.Input(*shape), train=grad, optimizer=None)
    timeline = memory(program)
    live = most = 0
    for kind, index, _ in timeline.stream.events():
        if kind == PHASE and index != PHASES.index("forward"):
            break
        if kind in (BIRTH, DEATH):
            live += timeline.sizes[index] * (1 if kind == BIRTH else -1)
            most = max(most, live)
    return most / 2**20 / ACTIVATION


def every_chain() -> dict[str, float]:
    """Each eager chain by ``layer/mode/trained/layers``."""
    return {
        f"{layer}/{mode}/{trained}/{layers}": activations(layer, mode, trained, layers)
        for layer in LAYERS
        for mode in ("train", "eval")
        for trained in TRAINED
        for layers in range(1, 11)
    }


def section() -> str:
    """How many rows are right, and those that are not."""
    predicted = worked_out("chains", every_chain)
    rows = data("memsave_chains.csv")
    measured = {
        (name_of(row), row["torch_compile"]): float(row["peak_process_memory_MiB_after_forward"])
        for row in rows
    }
    wrong, right = [], 0
    for (name, compiled), value in measured.items():
        if compiled == "yes":
            continue
        chain, _, layers = name.rpartition("/")
        kept = (value - measured[f"{chain}/1", "no"]) / ACTIVATION
        said = predicted[name] - predicted[f"{chain}/1"]
        if round(kept) == round(said):
            right += 1
            continue
        shorter = measured[f"{chain}/{int(layers) - 1}", "no"]
        cause = (
            "measured less than one layer more than the shorter chain: the system took pages back"
            if value - shorter < ACTIVATION / 2 < ACTIVATION * (said - kept)
            else ""
        )
        wrong.append((*name.split("/"), f"{kept:.2f}", f"{said:.2f}", cause))
    text = (
        f"{right} of {right + len(wrong)} rows are right. The resident memory of a process after a "
        "forward pass through 1 to 10 equal layers (512 MiB each activation), in both modes and "
        "with four choices of what is trained, was measured by others on a CPU; what a layer more "
        "adds says whether its input is kept. Compared is the growth from the chain of one layer, "
        "in activations, measured and by botec's trace, both rounded. The other "
        f"{len(rows) - right - len(wrong)} rows of the source are of torch.compile, whose kernels "
        "are chosen by its own compiler and are not traced."
    )
    heads = ("layer", "mode", "trained", "layers", "measured", "predicted", "cause")
    return f"{text}\n\n{table(heads, wrong)}" if wrong else text


def name_of(row: dict[str, str]) -> str:
    return "/".join((row["layer"], row["mode"], row["params_requiring_grad"], row["num_layers"]))
