"""This machine after a calibration: predicted steps beside real ones, fifteen networks.

With one thread the clock of both is the processor's own time, so other programs' turns do not
enter; with two it is the wall's, and the spread says how quiet the machine was. A shared machine
gets slower and faster within a minute: it is calibrated before and after every network, whose
prediction rests on both, and a network's steps are timed before and after its ops. What these two
differ by is the floor under all errors. Run it alone:

    python -m benchmarks.accuracy --only time_here --resume here.jsonl
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from benchmarks.accuracy import rows
from botec.analyses.duration.pages import Timed
from botec.analyses.duration.speeds import MEASURED, Speeds, fitted
from botec.analyses.duration.times import ideal
from botec.duration.here import exact, speeds_from
from botec.measure.calibration import Calibration, together
from botec.program import Program

ORDER = 70
TITLE = "Time on this machine, calibrated"
THREADS = (1, 2)
SECONDS, MOST, FEWEST = 0.8, 8, 2  # of one half of a network's steps
KINDS = ("infer", "train")
PREDICTORS = ("roofline", "calibrated", "exact")
LATEST: dict[int, Calibration] = {}  # by threads


def pictures(name: str, batch: int = 4) -> Callable[[], Any]:
    """A torchvision model at 224 pixels."""

    def make() -> Any:
        import botec
        from botec.read.from_torchvision import make_importable

        make_importable()
        from torchvision import models

        return models.get_model(name), (botec.Input(batch, 3, 224, 224, name="x"),)

    return make


def texts(name: str, batch: int, length: int, **sizes: int) -> Callable[[], Any]:
    """A transformers model of a type, of its default sizes or others."""

    def make() -> Any:
        import botec
        from botec.read.from_torchvision import make_importable

        make_importable()
        import transformers as hub

        kinds = {
            "bert": (hub.BertModel, hub.BertConfig), "gpt2": (hub.GPT2LMHeadModel, hub.GPT2Config),
            "distilbert": (hub.DistilBertModel, hub.DistilBertConfig),
            "llama": (hub.LlamaForCausalLM, hub.LlamaConfig),
        }  # fmt: skip
        model, configuration = kinds[name]
        ids = botec.Input(batch, length, dtype="int64", name="input_ids", below=100)
        return model(configuration(**sizes)), (ids,)

    return make


MODELS = {
    "resnet18": pictures("resnet18"), "resnet50": pictures("resnet50", 2),
    "mobilenet_v2": pictures("mobilenet_v2"), "efficientnet_b0": pictures("efficientnet_b0"),
    "densenet121": pictures("densenet121", 2), "vgg11": pictures("vgg11", 2),
    "convnext_tiny": pictures("convnext_tiny", 2), "vit_b_16": pictures("vit_b_16", 2),
    "swin_t": pictures("swin_t", 2), "shufflenet_v2": pictures("shufflenet_v2_x1_0"),
    "regnet_y_400mf": pictures("regnet_y_400mf"), "bert base": texts("bert", 4, 128),
    "gpt2": texts("gpt2", 2, 128), "distilbert": texts("distilbert", 4, 128),
    "llama, small": texts("llama", 2, 256, hidden_size=512, intermediate_size=1408,
                          num_hidden_layers=6, num_attention_heads=8, vocab_size=8000),
}  # fmt: skip


def realised(model: Any, inputs: Any, train: bool) -> Any:
    """A real step, twice run."""
    from botec.measure.realise import realise
    from botec.read.from_file import source_of_module

    source = source_of_module(model, inputs)
    step = realise(source, {}, train=train, optimizer="sgd" if train else None)
    step.run()
    step.run()
    return step


def real(step: Any, threads: int) -> list[float]:
    """Seconds of a few real steps."""
    now = time.process_time if threads == 1 else time.perf_counter
    each: list[float] = []
    begin = time.perf_counter()
    while len(each) < FEWEST or (time.perf_counter() - begin < SECONDS and len(each) < MOST):
        start = now()
        step.run()
        each.append(now() - start)
    return each


def network(name: str, threads: int) -> dict[str, Any]:
    """One network both ways, between two calibrations; the second is the next one's first."""
    import torch

    from botec.measure import calibration

    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    before = LATEST.pop(threads, None) or calibration.calibrate()
    steps = {kind: step(name, kind == "train", threads, before) for kind in KINDS}
    after = LATEST[threads] = calibration.calibrate()
    both = merged(before, after)
    drift = statistics.median(
        abs(one.seconds / other.seconds - 1)
        for one, other in zip(after.samples, before.samples, strict=True)
    )
    rows = {kind: predicted(*steps[kind], speeds_from(both, kind == "train")) for kind in KINDS}
    return {**rows, "calibrated in": after.seconds, "calibrations differ by": drift}


def step(
    name: str, train: bool, threads: int, base: Calibration
) -> tuple[Program, dict[str, float]]:
    """Half of a network's real steps, all its ops one by one, the other half."""
    import botec

    model, inputs = MODELS[name]()
    program = botec.read(model, *inputs, train=train, optimizer="sgd" if train else None)
    real_one = realised(model, inputs, train)
    first = real(real_one, threads)
    ops = Timed(program, exact(program, speeds_from(base, train))).step
    second = real(real_one, threads)
    low, middle, high = statistics.quantiles(first + second, n=4, method="inclusive")
    drift = statistics.median(second) / statistics.median(first) - 1
    found = {"exact": ops, "seconds": middle, "spread": (high - low) / middle, "drift": drift}
    return program, found


def merged(before: Calibration, after: Calibration) -> Calibration:
    """Two calibrations as one: the geometric mean of each kernel, the mean of what calls cost."""
    pairs = zip(before.samples, after.samples, strict=True)
    means = {
        name: (getattr(before, name) + getattr(after, name)) / 2
        for name in ("call", "infer", "train")
    }
    return replace(after, samples=tuple(together(list(pair)) for pair in pairs), **means)


def predicted(program: Program, found: dict[str, float], speeds: Speeds) -> dict[str, float]:
    """What was found, with seconds by the plain roofline and by the calibrations."""
    timed = Timed(program, speeds)
    roofline = ideal(timed.durations, timed.answers.phases) or 0.0
    return {**found, "roofline": roofline, "calibrated": timed.step}


def rows_of(threads: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every network; what fails is told and left out."""
    for name in MODELS:
        key = f"here {name} {threads}"
        try:
            yield name, rows.worked_out(key, lambda n=name: network(n, threads))
        except Exception as error:
            print(f"  {key}: {error}", file=sys.stderr)


CAUSES = """With two threads the clock is the wall's: whatever else the machine does is in a step
or in the calls that predict it, and the floor is twice as high as with one. Measured while others
used the same two cores, training steps came out a seventh longer than the sum of their ops: a step
of a second is interrupted on one core or the other and then both wait, which calls of milliseconds
seldom are. The bands are older than the rows of two threads. Memory that the allocator gave back to
the system and asks for again is in a prediction for results of more than 32 MiB only."""


def inside(way: str, every: list[tuple[str, str, dict[str, float]]]) -> str:
    """How many rows lie in the band of 80 % that the answers are given with."""
    name = {"calibrated": MEASURED, "exact": "exact"}.get(way)
    if name is None:
        return ""
    bands = {kind: fitted()["bands"][f"{name}.{kind}"] for kind in KINDS}
    hits = sum(
        bands[kind]["low"] <= one["seconds"] / one[way] <= bands[kind]["high"]
        for _, kind, one in every
    )
    return f"; its band of 80 % holds {hits / len(every):.0%} of them"


def section() -> str:
    """One table for each number of threads with the errors of each predictor, then over all."""
    parts, every = [], []
    for threads in THREADS:
        known = list(rows_of(threads))
        flat = [(name, kind, found[kind]) for kind in KINDS for name, found in known]
        every += flat
        lines = [
            (name, kind, f"{1e3 * one['seconds']:.1f} ms", f"{one['spread']:.0%}",
             f"{one['drift']:+.0%}", *(rows.error(one[way], one["seconds"]) for way in PREDICTORS))
            for name, kind, one in flat
        ]  # fmt: skip
        again = statistics.median(abs(one["drift"]) for _, _, one in flat)
        taken, apart = (
            statistics.median(found[key] for _, found in known)
            for key in ("calibrated in", "calibrations differ by")
        )
        clock = "processor time" if threads == 1 else "wall time"
        parts.append(
            f"**{threads} thread{'s' if threads > 1 else ''}** ({clock}); calibrated in "
            f"{taken:.1f} s. The floor, at the median: the same steps, timed again after the ops "
            f"were, differ by {again:.0%}; the same kernels in two calibrations, one network "
            f"apart, by {apart:.0%}.\n"
        )
        heads = ("network", "step", "measured", "spread", "again", *PREDICTORS)
        parts.append(rows.table(heads, lines))
        for way in PREDICTORS:
            for kind in KINDS:
                pairs = [(one[way], one["seconds"]) for _, own, one in flat if own == kind]
                parts.append(f"\n* {way}, {kind}: {rows.summary(pairs)}")
        parts.append("")
    for way in PREDICTORS:
        pairs = [(one[way], one["seconds"]) for _, _, one in every]
        parts.append(f"* {way}, all of these: {rows.summary(pairs)}{inside(way, every)}\n")
    return "\n".join((*parts, CAUSES))
