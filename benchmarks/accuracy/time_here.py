"""This machine after a calibration: predicted steps beside real ones, fifteen networks.

With one thread the clock of both is the processor's own time, so other programs' turns do not
enter; with two it is the wall's, and the spread says how quiet the machine was. A shared machine
gets slower and faster in minutes, so it is calibrated anew before every third network, and a
network's steps are timed before and after its ops: what these two differ by is the floor under all
errors. Run it alone:

    python -m benchmarks.accuracy --only time_here --resume here.jsonl
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.accuracy import rows

ORDER = 70
TITLE = "Time on this machine, calibrated"
THREADS = (1, 2)
SECONDS, MOST, FEWEST = 1.0, 8, 2  # of one half of a network's steps
TOGETHER = 3  # networks to a calibration
PREDICTORS = ("roofline", "calibrated", "exact")


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


def predicted(model: Any, inputs: Any, train: bool) -> dict[str, float]:
    """Seconds by the plain roofline, by the calibration, and with every op timed."""
    import botec
    from botec.analyses.duration.pages import Timed
    from botec.analyses.duration.times import ideal
    from botec.duration.here import exact, known

    program = botec.read(model, *inputs, train=train, optimizer="sgd" if train else None)
    speeds = known(train)
    if speeds is None:
        raise RuntimeError("calibrate first")
    timed = Timed(program, speeds)
    return {
        "roofline": ideal(timed.durations, timed.answers.phases) or 0.0,
        "calibrated": timed.step,
        "exact": Timed(program, exact(program, speeds)).step,
    }


def row(name: str, train: bool, threads: int) -> dict[str, float]:
    """One network: half of its steps, what is predicted of it (its ops timed), the other half."""
    import torch

    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    model, inputs = MODELS[name]()
    step = realised(model, inputs, train)
    first = real(step, threads)
    found = predicted(model, inputs, train)
    second = real(step, threads)
    low, middle, high = statistics.quantiles(first + second, n=4, method="inclusive")
    drift = statistics.median(second) / statistics.median(first) - 1
    return {**found, "seconds": middle, "spread": (high - low) / middle, "drift": drift}


def calibrated(threads: int) -> dict[str, float]:
    """A fresh calibration for so many threads; how long it took and its spread."""
    import torch

    from botec.measure import calibration

    torch.set_num_threads(threads)
    found = calibration.calibrate()
    calibration.save(found)
    return {"seconds": found.seconds, "spread": found.spread}


def rows_of(threads: int) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Every network both ways, calibrated before every few; what fails is told and left out."""
    for place, name in enumerate(MODELS):
        if place % TOGETHER == 0:
            key = f"here calibration {threads} {place}"
            rows.worked_out(key, lambda: calibrated(threads))
        for kind in ("infer", "train"):
            key = f"here {name} {kind} {threads}"
            try:
                yield (
                    name,
                    kind,
                    rows.worked_out(key, lambda n=name, t=kind == "train": row(n, t, threads)),
                )
            except Exception as error:
                print(f"  {key}: {error}", file=sys.stderr)


def section() -> str:
    """One table for each number of threads, then the errors of each predictor."""
    parts = []
    for threads in THREADS:
        known = list(rows_of(threads))
        lines = [
            (name, kind, f"{1e3 * one['seconds']:.1f} ms", f"{one['spread']:.0%}",
             f"{one['drift']:+.0%}", *(rows.error(one[way], one["seconds"]) for way in PREDICTORS))
            for name, kind, one in known
        ]  # fmt: skip
        drift = statistics.median(abs(one["drift"]) for _, _, one in known)
        clock = "processor time" if threads == 1 else "wall time"
        parts.append(
            f"**{threads} thread{'s' if threads > 1 else ''}** ({clock}). The same steps, timed "
            f"again after the ops were, differ by {drift:.0%} at the median: the floor.\n"
        )
        heads = ("network", "step", "measured", "spread", "again", *PREDICTORS)
        parts.append(rows.table(heads, lines))
        for way in PREDICTORS:
            for kind in ("infer", "train"):
                pairs = [(one[way], one["seconds"]) for _, own, one in known if own == kind]
                parts.append(f"\n* {way}, {kind}: {rows.summary(pairs)}")
    return "\n".join(parts)
