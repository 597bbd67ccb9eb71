"""This machine after a calibration: predicted steps beside real ones, fifteen networks.

With one thread the clock of both is the processor's own time, so other programs' turns do not
enter; with two it is the wall's, and the spread says how quiet the machine was. Run it alone:

    python -m benchmarks.accuracy --only time_here --resume here.jsonl
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from benchmarks.accuracy import rows

ORDER = 70
TITLE = "Time on this machine, calibrated"
THREADS = (1, 2)
SECONDS, MOST, FEWEST = 2.0, 15, 3
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


def real(model: Any, inputs: Any, train: bool, threads: int) -> dict[str, float]:
    """Seconds of real steps: the median, its spread (quartiles over it), and how many."""
    from botec.measure.realise import realise
    from botec.read.from_file import source_of_module

    source = source_of_module(model, inputs)
    step = realise(source, {}, train=train, optimizer="sgd" if train else None)
    now = time.process_time if threads == 1 else time.perf_counter
    step.run()
    step.run()
    each: list[float] = []
    begin = time.perf_counter()
    while len(each) < FEWEST or (time.perf_counter() - begin < SECONDS and len(each) < MOST):
        start = now()
        step.run()
        each.append(now() - start)
    low, middle, high = statistics.quantiles(each, n=4, method="inclusive")
    return {"seconds": middle, "spread": (high - low) / middle, "runs": len(each)}


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
    """One network, measured before and after it is predicted, so that both see one machine."""
    import torch

    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    model, inputs = MODELS[name]()
    found = predicted(model, inputs, train)
    return {**found, **real(model, inputs, train, threads)}


def calibrated(threads: int) -> dict[str, float]:
    """A fresh calibration for so many threads; how long it took and its spread."""
    import torch

    from botec.measure import calibration

    torch.set_num_threads(threads)
    found = calibration.calibrate()
    calibration.save(found)
    return {"seconds": found.seconds, "spread": found.spread}


def section() -> str:
    """One table for each number of threads, then the errors of each predictor."""
    parts = []
    for threads in THREADS:
        made = rows.worked_out(f"here calibration {threads}", lambda t=threads: calibrated(t))
        lines, pairs = [], {}
        for train in (False, True):
            for name in MODELS:
                kind = "train" if train else "infer"
                key = f"here {name} {kind} {threads}"
                try:
                    one = rows.worked_out(key, lambda n=name, t=train, h=threads: row(n, t, h))
                except Exception as error:
                    print(f"  {key}: {error}", file=sys.stderr)
                    continue
                lines.append((
                    name, kind, f"{1e3 * one['seconds']:.1f} ms", f"{one['spread']:.0%}",
                    *(rows.error(one[way], one["seconds"]) for way in PREDICTORS),
                ))  # fmt: skip
                for way in PREDICTORS:
                    pairs.setdefault((way, kind), []).append((one[way], one["seconds"]))
        clock = "processor time" if threads == 1 else "wall time"
        parts.append(
            f"**{threads} thread{'s' if threads > 1 else ''}** ({clock}); calibrated in "
            f"{made['seconds']:.0f} s, repeated measurements differ by {made['spread']:.0%}.\n"
        )
        parts.append(rows.table(("network", "step", "measured", "spread", *PREDICTORS), lines))
        parts += [f"\n* {way}, {kind}: {rows.summary(found)}"
                  for (way, kind), found in pairs.items()]  # fmt: skip
    return "\n".join(parts)
