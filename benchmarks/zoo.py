"""botec's counts beside what torchvision and timm publish of their own models.

    python benchmarks/zoo.py [-o docs/zoo.md] [--resume] [--only TEXT]

The published rows lie in ``tests/data``. Each model is counted in inference on the input its row
was taken on. A difference is never argued away: its cause is named and then *counted* (the model
built as its weights build it, the normalisations the other counter adds, …), and only where that
gives the published digits the row is explained. Rows are counted in processes of their own, a few
at a time; what is done is kept in ``build/zoo.jsonl``, from which ``--resume`` goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import botec
from botec.calls import Call, Tensor
from botec.errors import BotecError
from botec.poly import at
from botec.program import Program

ROOT = Path(__file__).resolve().parent.parent
DATA, KEPT = ROOT / "tests" / "data", ROOT / "build" / "zoo.jsonl"
BATCH = 20
DIGITS = {"torchvision": 3, "timm": 2}  # decimals of the published 10⁹, and of timm's 10⁶
TOLERANCE = 0.005  # of timm's figures, which hold more than multiplications
EQUAL, EXPLAINED, NEAR, DIFFERS = "equal", "explained", "within 0.5 %", "differs"


@dataclass(frozen=True)
class Row:
    """What is published of one model: ``multiplications`` as printed, in 10⁹; ``parameters``."""

    zoo: str
    model: str
    kind: str
    weights: str
    multiplications: str
    parameters: str
    size: int = 0

    @property
    def name(self) -> str:
        """How the command line is asked for it."""
        return f"{self.zoo}:{self.model}"

    @property
    def key(self) -> str:
        """One for every row."""
        return f"{self.name} {self.weights}".strip()


@dataclass(frozen=True)
class Judged:
    """A row beside botec's count at ``shape``; ``explained`` is the count under the ``cause``."""

    key: str
    shape: tuple[int, ...]
    counted: int | None
    parameters: int | None
    verdict: str
    cause: str = ""
    explained: int | None = None


# -- what is published ----------------------------------------------------------------------------


def rows(zoo: str) -> list[Row]:
    """The published rows of ``"torchvision"`` or ``"timm"``."""
    if zoo == "torchvision":
        return [
            Row(zoo, r["model"], r["task"], r["weights"], r["ops"], r["num_params"])
            for r in lines_of("torchvision_ops.csv")
        ]
    return [
        Row(zoo, r["model"], r["family"], "", r["gmacs"], r["params_M"], int(r["img_size"]))
        for r in lines_of("timm_gmacs.csv")
    ]


def lines_of(name: str) -> list[dict[str, str]]:
    """The lines of a table in ``tests/data``."""
    with open(DATA / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def prints_as(number: int, unit: int, text: str, digits: int) -> bool:
    """Whether ``number`` in ``unit``, rounded to ``digits`` decimals, is the published ``text``.

    The published numbers were rounded and lost their last zeros since: 1.6 was 1.60.
    """
    return abs(number / unit - float(text)) <= 0.5 * 10**-digits * (1 + 1e-9)


# -- counting -------------------------------------------------------------------------------------


def judge(row: Row) -> Judged:
    """Count one row, and find the cause where it is not what is published."""
    return judge_torchvision(row) if row.zoo == "torchvision" else judge_timm(row)


def read(model: Any, shape: Sequence[int]) -> Program:
    return botec.read(model, botec.Input("B", *shape), train=False)


def multiplications(program: Program) -> int:
    """Of one forward pass of one example; nothing may be unknown."""
    total = botec.count(program).total("multiplications", ("forward",))
    if total.missing:
        raise BotecError(f"not counted: {total.missing}", "tell their cost", program.name)
    return total.at(**program.asked)


def parameters(program: Program) -> int:
    return sum(one.tensor.elements for one in program.parameters)


# -- torchvision ----------------------------------------------------------------------------------


def judge_torchvision(row: Row) -> Judged:
    """Equal as it is, or equal when built as these weights build it."""
    weights = weights_of(row)
    shape = transformed(weights, row.kind)
    own = attempt(row.name, shape)
    if own and matches(own, row):
        return Judged(row.key, shape, multiplications(own), parameters(own), EQUAL)
    module = built_with(row.model, weights)
    other = read(module, shape)
    cause = difference(own, other)
    counted = (multiplications(own), parameters(own)) if own else (None, None)
    verdict = EXPLAINED if matches(other, row) else DIFFERS
    return Judged(row.key, shape, *counted, verdict, cause, multiplications(other))


def matches(program: Program, row: Row) -> bool:
    same = prints_as(multiplications(program), 10**9, row.multiplications, DIGITS[row.zoo])
    return same and parameters(program) == int(row.parameters)


def attempt(name: str, shape: Sequence[int]) -> Program | None:
    """The program, ``None`` where the model as it is does not take this size."""
    try:
        return read(name, shape)
    except BotecError:
        return None


def library() -> Any:
    from botec.read.from_torchvision import torchvision_models

    return torchvision_models()


def weights_of(row: Row) -> Any:
    return library().get_model_weights(row.model)[row.weights]


def transformed(weights: Any, kind: str) -> tuple[int, ...]:
    """The shape torchvision's own transforms make of its documented random input."""
    import torch

    frames = (16, 3, 512, 512) if kind == "video" else (3, 512, 512)
    return tuple(weights.transforms()(torch.rand(frames)).shape)


def built_with(model: str, weights: Any) -> Any:
    """The module as these weights build it, without fetching or loading one number of them."""
    import torch

    with (
        torch.device("meta"),
        mock.patch.object(type(weights), "get_state_dict", return_value={}),
        mock.patch.object(torch.nn.Module, "load_state_dict", return_value=None),
    ):
        return library().get_model(model, weights=weights)


def difference(own: Program | None, other: Program) -> str:
    """What the weights build otherwise: parts, classes, the size of the pictures."""
    if own is None:
        return "the weights build it for pictures of this size"
    mine, theirs = parts(own), parts(other)
    added, dropped = sorted(theirs - mine), sorted(mine - theirs)
    texts = [f"the weights switch on {', '.join(added)}"] if added else []
    texts += [f"the weights drop {', '.join(dropped)}"] if dropped else []
    heads = [name for name in shapes(own) if shapes(other).get(name, ()) != shapes(own)[name]]
    kept = [name for name in heads if name.partition(".")[0] not in dropped]
    texts += [f"other sizes: {', '.join(kept)}"] if kept else []
    return "; ".join(texts) or "unknown"


def parts(program: Program) -> set[str]:
    """The parts directly in the model that hold parameters."""
    return {name.partition(".")[0] for one in program.parameters for name in one.names}


def shapes(program: Program) -> dict[str, tuple[Any, ...]]:
    return {one.names[0]: one.tensor.shape for one in program.parameters}


# -- timm -----------------------------------------------------------------------------------------


def judge_timm(row: Row) -> Judged:
    """Within 0.5 %; the digits, once what fvcore counts besides products is added."""
    shape = (3, row.size, row.size)
    own = read(row.name, shape)
    count, weights = multiplications(own), parameters(own)
    published = float(row.multiplications) * 10**9
    near = abs(count - published) <= TOLERANCE * published
    for cause, explained in causes(row, own, shape):
        if prints_as(explained, 10**9, row.multiplications, DIGITS[row.zoo]):
            verdict = EQUAL if cause == "" else NEAR if near else EXPLAINED
            return Judged(row.key, shape, count, weights, verdict, cause, explained)
    verdict = NEAR if near else DIFFERS
    return Judged(row.key, shape, count, weights, verdict)


def causes(row: Row, own: Program, shape: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Causes with the count each gives, the simplest first."""
    count = multiplications(own)
    yield "", count
    yield "norms and resizing counted too", count + beside_products(own)
    unseen = unseen_convolutions(row, own)
    if unseen:
        text = 'convolutions with padding="same" not seen; norms counted too'
        yield text, count - unseen + beside_products(own)
    merged = read(merged_module(row.model), shape)
    text = f"published re-parameterised, {parameters(merged) / 1e6:.2f} M parameters"
    yield f"{text}; norms counted too", multiplications(merged) + beside_products(merged)


# What fvcore adds for every entry that goes in (or comes out, where the name says so).
PER_ENTRY = {"aten.upsample_nearest2d": 1, "aten.upsample_bilinear2d": 4}
NORMS = ("aten.native_layer_norm", "aten.native_group_norm", "aten.native_batch_norm")


def beside_products(program: Program) -> int:
    """What fvcore counts as flops that are no multiplications of products."""
    found = 0
    for line in botec.count(program).lines:
        found += at(fvcore_extra(line.call), program.asked) * line.times
    return found


def fvcore_extra(call: Call) -> Any:
    """fvcore's ``norm_flop_counter``, ``batchnorm_flop_jit`` and ``elementwise_flop_counter``."""
    if call.op in PER_ENTRY:
        (output,) = (one for one in call.outputs if isinstance(one, Tensor))
        return output.elements * PER_ENTRY[call.op]
    if call.op not in NORMS:
        return 0
    affine = 1 if call.arguments["weight"] is not None else 0
    batch = call.op.endswith("batch_norm") and not call.arguments["training"]
    return call.arguments["input"].elements * ((1 if batch else 4) + affine)


def unseen_convolutions(row: Row, program: Program) -> int:
    """Multiplications of convolutions that write ``padding="same"``."""
    module = timm_model(row.model)
    same = {name for name, one in module.named_modules() if getattr(one, "padding", "") == "same"}
    by_scope = botec.count(program).by_scope("multiplications", ("forward",))
    return sum(
        total.at(**program.asked)
        for scope, total in by_scope.items()
        if program.scopes[scope] in same
    )


def timm_model(name: str) -> Any:
    """The model without memory where it can be built so."""
    from botec.read.build import build
    from botec.read.doors import open_source

    return build(open_source(f"timm:{name}", train=False))


def merged_module(name: str) -> Any:
    """The model with its parallel branches and batch norms merged for inference, as timm does."""
    import timm
    from timm.utils.model import reparameterize_model

    return reparameterize_model(timm.create_model(name, pretrained=False).eval())


# -- many rows ------------------------------------------------------------------------------------


def judge_all(wanted: Sequence[Row], kept: Path, resume: bool) -> dict[str, Judged]:
    """Every row, each batch in a process of its own; results are kept as they come."""
    kept.parent.mkdir(exist_ok=True)
    if not resume:
        kept.unlink(missing_ok=True)
    found = known(kept)
    left = [row.key for row in wanted if row.key not in found]
    while left:
        with progress(len(wanted) - len(left), len(wanted)):
            run_batch(left[:BATCH], kept)
        found = known(kept)
        if left[0] not in found:  # the process died on it
            keep(kept, Judged(left[0], (), None, None, DIFFERS, "counting it failed"))
            found = known(kept)
        left = [row.key for row in wanted if row.key not in found]
    return found


def known(kept: Path) -> dict[str, Judged]:
    if not kept.exists():
        return {}
    lines = (json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines())
    return {one["key"]: Judged(**{**one, "shape": tuple(one["shape"])}) for one in lines}


def keep(kept: Path, judged: Judged) -> None:
    with open(kept, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(judged)) + "\n")


def run_batch(keys: Sequence[str], kept: Path) -> None:
    command = [sys.executable, __file__, "--batch", str(kept)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, input="\n".join(keys), text=True, env=environment)


def batch(kept: Path) -> None:
    """What the processes do: judge the rows whose keys stand on the standard input."""
    by_key = {row.key: row for zoo in ("torchvision", "timm") for row in rows(zoo)}
    for key in sys.stdin.read().splitlines():
        try:
            keep(kept, judge(by_key[key]))
        except BotecError as error:
            keep(kept, Judged(key, (), None, None, DIFFERS, str(error)))


@contextmanager
def progress(done: int, of: int) -> Iterator[None]:
    """How far it is, on a terminal only."""
    shown = sys.stderr.isatty()
    if shown:
        print(f"\r{done} of {of} models", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


# -- the page -------------------------------------------------------------------------------------

INTRODUCTION = """# botec beside the numbers the zoos publish

Written by `make accuracy` ({versions}).
Every model is counted in shapes, in inference, for one example of the documented input;
multiplications in 10⁹.
"""
ABOUT_TORCHVISION = """
## torchvision: every classification, segmentation and video model

Published: `_ops` and `num_params` of the weights. *Equal* means: to all printed digits, and to the
last parameter. *Explained*: the weights build the network otherwise than its builder does without
them; built that way, it is equal.

{summary}
"""
ABOUT_TIMM = """
## timm: one model of every family

Published: `gmacs` and `params` of timm's own benchmark files. They were taken with fvcore, which
counts some operations besides products, so the raw difference is shown, and then the count with
exactly what fvcore adds (its source names the factors: 5 for each entry of a layer norm, 2 of a
batch norm, …): where that has the published digits, nothing is left to explain.

{summary}
"""


def page(judged: dict[str, Judged]) -> str:
    """The whole table as markdown."""
    names = ("torch", "torchvision", "timm")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    text = INTRODUCTION.format(versions=f"Python {platform.python_version()}, {versions}")
    for about, zoo in ((ABOUT_TORCHVISION, "torchvision"), (ABOUT_TIMM, "timm")):
        found = [(row, judged[row.key]) for row in rows(zoo) if row.key in judged]
        if found:
            text += about.format(summary=summary(found)) + "\n" + table(zoo, found)
    return text


def summary(found: Sequence[tuple[Row, Judged]]) -> str:
    counts = {
        verdict: sum(one.verdict == verdict for _, one in found)
        for verdict in (EQUAL, NEAR, EXPLAINED, DIFFERS)
    }
    digits = sum(one.verdict == EQUAL or one.explained is not None for _, one in found)
    parts = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    return f"{len(found)} rows: {', '.join(parts)}; {digits} with the published digits in the end."


def table(zoo: str, found: Sequence[tuple[Row, Judged]]) -> str:
    if zoo == "torchvision":
        head = ("model", "weights", "input", "published", "botec", "as the weights build it")
    else:
        head = ("model", "family", "input", "published", "botec", "difference", "as fvcore counts")
    head = (*head, "parameters", "verdict", "cause")
    lines = [head, tuple("---" for _ in head)]
    lines += [cells(zoo, row, one) for row, one in found]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cells(zoo: str, row: Row, one: Judged) -> tuple[str, ...]:
    raw, explained = billions(one.counted), billions(one.explained)
    front = (f"`{row.model}`", row.weights or row.kind, "×".join(map(str, one.shape)))
    middle: tuple[str, ...] = (row.multiplications, raw)
    if zoo == "timm" and one.counted is not None:
        part = one.counted / 10**9 / float(row.multiplications) - 1
        middle = (*middle, f"{part:+.2%}")
    weights = "?" if one.parameters is None else f"{one.parameters:,}"
    same = same_parameters(row, one)
    weights = weights if same else f"{weights} ({row.parameters} published)"
    return (*front, *middle, explained, weights, one.verdict, one.cause)


def same_parameters(row: Row, one: Judged) -> bool:
    """Whether the parameters are the published ones, to the digits they have."""
    if row.zoo == "torchvision" or one.parameters is None:
        return str(one.parameters) == row.parameters
    return prints_as(one.parameters, 10**6, row.parameters, DIGITS[row.zoo])


def billions(number: int | None) -> str:
    return "" if number is None else f"{number / 10**9:.4f}"


def main() -> int:
    """Judge what is asked for, write the page; exit code 1 where a row differs unexplained."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-o", dest="file", help="write the page here, not to stdout")
    options.add_argument("--resume", action="store_true", help=f"go on from {KEPT.name}")
    options.add_argument("--only", default="", help="rows that contain this text")
    options.add_argument("--batch", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.batch:
        batch(Path(given.batch))
        return 0
    every = [*rows("torchvision"), *rows("timm")]
    wanted = [row for row in every if given.only in row.key]
    judged = judge_all(wanted, KEPT, given.resume)
    asked = {row.key: judged[row.key] for row in wanted}
    if given.file:
        Path(given.file).write_text(page(asked), encoding="utf-8")
    else:
        print(page(asked), end="")
    return int(any(one.verdict == DIFFERS for one in asked.values()))


if __name__ == "__main__":
    sys.exit(main())
