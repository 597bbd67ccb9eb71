"""Peaks of training and inference that others measured: BERT, Llama and friends, detectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import botec
from benchmarks.accuracy.rows import data, error, summary, table, worked_out
from botec.analyses.fit import endless
from botec.errors import BotecError
from botec.read.from_torchvision import make_importable

ORDER = 10
TITLE = "Memory of whole steps (Hugging Face, LitGPT, detectron2, torchtitan)"
MIB, GB, GIB = 2**20, 10**9, 2**30
Row = dict[str, Any]  # "what", "measured", "predicted" (None: not to be had), "why"
HEADS = ("run", "measured", "predicted", "error", "note")


def used(name: str, predict: Callable[[], Any]) -> Any:
    """What ``predict`` gives; the error's own words where botec refuses, or fails."""
    try:
        return worked_out(f"memory {name}", predict)
    except BotecError as error:
        return error.seen
    except Exception as error:
        return f"botec failed: {type(error).__name__}: {error}"


def usage(program: botec.Program, **point: int) -> list[int]:
    """Bytes allocated and reserved at most, over two steps."""
    found = endless(program, tuple({**program.asked, **point}.items()))
    return [found.allocated, found.reserved]


def usages(program: botec.Program, name: str, values: Iterable[int]) -> dict[str, list[int]]:
    """The same at several sizes of a dimension, from the formulas of one trace."""
    return {str(value): usage(program, **{name: value}) for value in values}


def shown(rows: list[Row], unit: str) -> str:
    """The rows as a table, with a summary above."""
    pairs = [(row["predicted"], row["measured"]) for row in rows if row["predicted"]]
    cells = [
        (
            row["what"],
            f"{row['measured']:.5g} {unit}",
            "?" if row["predicted"] is None else f"{row['predicted']:.5g} {unit}",
            error(row["predicted"], row["measured"]),
            row["why"],
        )
        for row in rows
    ]
    return f"{summary(pairs)} ({len(rows)} rows in all).\n\n{table(HEADS, cells)}"


def row(what: str, measured: float, found: Any, place: int, unit: float, why: str = "") -> Row:
    """A row from what :func:`used` gave: ``place`` 0 is allocated, 1 reserved."""
    if isinstance(found, str):
        return {"what": what, "measured": measured, "predicted": None, "why": found}
    return {"what": what, "measured": measured, "predicted": found[place] / unit, "why": why}


# -- BERT ------------------------------------------------------------------------------------------

LARGE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
    "intermediate_size": 4096,
}  # fmt: skip
CONTEXT = 1343  # MiB: the first row of the source
NAMES = {"AdamW (Trainer default)": "adamw", "Adafactor": "adafactor"}


def written_out(kind: str, **fields: Any) -> Any:
    """A model of transformers whose attention is written out, as it was when this was measured."""
    make_importable()
    import torch
    import transformers

    config = transformers.BertConfig(**fields)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        return getattr(transformers, kind)._from_config(config)


def bert_training(line: Mapping[str, str]) -> list[int]:
    """The step of one row: BERT-large for sequences of 512 tokens, a label for each.

    The Trainer of that time looped over the weights and set gradients to zero in place.
    """
    ids = botec.Input("B", "S", dtype="int64", name="input_ids", below=30522)
    label = botec.Input("B", dtype="int64", name="labels", below=2, only="train")
    optimizer = NAMES.get(line["optimizer"])
    if optimizer is None:
        raise BotecError(f"{line['optimizer']} is no optimizer of torch.optim")
    program = botec.read(
        written_out("BertForSequenceClassification", **LARGE), ids, label,
        optimizer=f"{optimizer}(foreach=False)", zero_grad="keep", device="v100-sxm2-16gb",
        checkpoint=line["grad_checkpointing"] == "yes",
        precision="amp-fp16" if "AMP" in line["dtype"] else "fp32",
        accumulate=int(line["grad_accum"]), B=int(line["batch"]), S=512,
    )  # fmt: skip
    return usage(program)


def bert_inference(line: Mapping[str, str]) -> list[int]:
    """One forward pass of BERT-base, or of a smaller one the row names."""
    fields = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line["model"])}
    sizes = int(line["batch"]), int(line["seq_len"])
    ids = botec.Input(*sizes, dtype="int64", name="input_ids", below=30522)
    module = written_out("BertModel", **fields)
    return usage(botec.read(module, ids, train=False, device="titan-rtx"))


def bert_rows() -> Iterator[Row]:
    for number, line in enumerate(data("hf_docs_bert.csv")):
        if not line["task"].startswith("training"):
            continue
        measured = float(line["gpu_memory_MB"])
        found = used(f"bert training {number}", lambda line=line: bert_training(line))
        words = [f"{line['dtype']}, batch {line['batch']}", line["optimizer"]]
        words += [f"{line['grad_accum']} micro-batches"] if line["grad_accum"] != "1" else []
        words += ["checkpointed"] if line["grad_checkpointing"] == "yes" else []
        yield row(", ".join(words), measured - CONTEXT, found, 1, MIB)


def bert_growth() -> Iterator[Row]:
    """What more tokens take beside eight, which no context blurs."""
    first: dict[str, tuple[float, Any]] = {}
    for number, line in enumerate(data("hf_docs_bert.csv")):
        if not line["task"].startswith("inference"):
            continue
        measured = float(line["gpu_memory_MB"])
        found = used(f"bert {number}", lambda line=line: bert_inference(line))
        start, least = first.setdefault(line["model"], (measured, found))
        if least is found or isinstance(found, str):
            continue
        more = [one - other for one, other in zip(found, least, strict=True)]
        what = f"{line['model']}, batch 8, {line['seq_len']} tokens"
        yield row(what, measured - start, more, 1, MIB, f"{measured:.0f} MiB in all")


# -- LitGPT ----------------------------------------------------------------------------------------

LIT: dict[str, tuple[str, dict[str, Any]]] = {
    "phi-1.5": ("phi", {"vocab_size": 51200, "hidden_size": 2048, "intermediate_size": 8192,
                        "num_hidden_layers": 24, "num_attention_heads": 32}),
    "StableLM Alpha 3 B": ("gpt_neox", {"vocab_size": 50688, "hidden_size": 4096,
                           "num_hidden_layers": 16, "num_attention_heads": 32,
                           "intermediate_size": 16384}),
    "Llama 2 7 B": ("llama", {}),
    "Llama 2 13 B": ("llama", {"hidden_size": 5120, "intermediate_size": 13824,
                     "num_hidden_layers": 40, "num_attention_heads": 40}),
    "Llama 2 70 B": ("llama", {"hidden_size": 8192, "intermediate_size": 28672,
                     "num_hidden_layers": 80, "num_attention_heads": 64,
                     "num_key_value_heads": 8}),
    "CodeLlama 34 B": ("llama", {"hidden_size": 8192, "intermediate_size": 22016,
                       "num_hidden_layers": 48, "num_attention_heads": 64,
                       "num_key_value_heads": 8}),
    "Falcon 40 B": ("falcon", {"hidden_size": 8192, "num_hidden_layers": 60,
                    "num_attention_heads": 128, "num_kv_heads": 8, "vocab_size": 65024,
                    "new_decoder_architecture": True}),
}  # fmt: skip
TARGETS = {"gpt_neox": ["query_key_value"], "falcon": ["query_key_value"]}


def model_of(line: Mapping[str, str]) -> str:
    whole = f"{line['model']} {line['size']}"
    return whole if whole in LIT else line["model"]


def language_model(name: str) -> Any:
    """The model on no device, without weights."""
    make_importable()
    import torch
    import transformers

    kind, fields = LIT[name]
    config = transformers.AutoConfig.for_model(kind, **fields)
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(config)


def packed_less(module: Any) -> list[int]:
    """Bytes the linear layers take less in four bits, plain and double, the output left alone."""
    from torch import nn

    from botec.read.quantised import nf4_bytes

    parts = [
        part.weight.numel()
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and "lm_head" not in name and "embed_out" not in name
    ]
    return [sum(2 * n - nf4_bytes(n, double) for n in parts) for double in (False, True)]


def lit_training(name: str, tokens: int) -> dict[str, Any]:
    """LoRA of rank 8 on queries and values, in bfloat16, the longest example of the data."""
    from peft import LoraConfig, get_peft_model

    module = language_model(name)
    less = packed_less(module)
    targets = TARGETS.get(LIT[name][0], ["q_proj", "v_proj"])
    config = LoraConfig(r=8, lora_dropout=0.05, target_modules=targets, task_type="CAUSAL_LM")
    ids = botec.Input("B", "S", dtype="int64", name="input_ids", below=32000)
    program = botec.read(
        get_peft_model(module, config), ids, precision="bf16", device="a100-sxm-40gb", B=2, S=tokens
    )
    return {**usages(program, "B", (1, 2, 4)), "less": less}


def lit_inference(name: str) -> dict[str, Any]:
    """55 tokens: a prompt of five and the fifty that generate makes."""
    module = language_model(name)
    less = packed_less(module)
    ids = botec.Input("B", "S", dtype="int64", name="input_ids", below=32000)
    program = botec.read(
        module, ids, precision="bf16", train=False, device="a100-sxm-40gb", B=1, S=55
    )
    return {**usages(program, "B", (1,)), "less": less}


def lit_found(line: Mapping[str, str]) -> Any:
    """What is predicted for a row, or why nothing is."""
    name = model_of(line)
    if not line["gpus"].startswith("1 x A100"):
        return f"{line['gpus']}: sharded over devices, or another recipe"
    if "LoRA" in line["section"]:
        tokens = int(line["longest_example_tokens"])
        found = used(f"litgpt LoRA {name}", lambda: lit_training(name, tokens))
    elif "Inference" in line["section"]:
        found = used(f"litgpt inference {name}", lambda: lit_inference(name))
    else:
        return "an adapter of its own, which no model here has"
    if isinstance(found, str):
        return found
    scheme = line["quantization"]
    less = 0 if scheme == "None" else found["less"][scheme.endswith("dq")]
    return [one - less for one in found[line["micro_batch_size"] or "1"]]


def lit_rows() -> Iterator[Row]:
    for line in data("litgpt.csv"):
        try:
            measured = float(line["max_gpu_ram_GB"])
        except ValueError:
            continue
        what = f"{model_of(line)}, {line['section']}, {line['quantization']}"
        if line["micro_batch_size"]:
            what += f", micro-batch {line['micro_batch_size']}"
        yield row(what, measured, lit_found(line), 0, GB)


# -- detectors -------------------------------------------------------------------------------------


def detector(kind: str, name: str) -> tuple[Any, list[botec.Input]]:
    """The dense part of a detector, and its head on the proposals that are pooled for it."""
    make_importable()
    import torch
    from torch import nn
    from torchvision.models import resnet
    from torchvision.models.detection import backbone_utils, faster_rcnn, retinanet, rpn
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7
    from torchvision.ops.misc import FrozenBatchNorm2d

    body = {"R50": "resnet50", "R101": "resnet101", "X101": "resnext101_32x8d"}[name.split("-")[0]]
    images = botec.Input("B", 3, 800, 1344, name="images")

    class Pyramid(nn.Module):
        """Backbone, pyramid and heads; RetinaNet's run on every level, the box head on pools."""

        def __init__(self) -> None:
            super().__init__()
            extra = {
                "returned_layers": [2, 3, 4], "extra_blocks": LastLevelP6P7(256, 256),
            } if kind.startswith("RetinaNet") else {}  # fmt: skip
            self.backbone = backbone_utils.resnet_fpn_backbone(
                backbone_name=body, weights=None, trainable_layers=3, **extra
            )
            if extra:
                self.head = retinanet.RetinaNetHead(256, 9, 80)
            else:
                self.head = rpn.RPNHead(256, 3)
                self.box = faster_rcnn.TwoMLPHead(256 * 49, 1024)
                self.last = faster_rcnn.FastRCNNPredictor(1024, 81)

        def forward(self, images: Any, pooled: Any = None) -> Any:
            found = self.head(list(self.backbone(images).values()))
            parts = list(found.values()) if isinstance(found, dict) else [*found[0], *found[1]]
            if pooled is not None:
                parts += self.last(self.box(pooled))
            return sum(part.float().mean() for part in parts)

    class Single(nn.Module):
        """One level of features: C4 runs the last stage on the pools, DC5 dilates it instead."""

        def __init__(self) -> None:
            super().__init__()
            dilated = "DC5" in name
            net = getattr(resnet, body)(
                weights=None, norm_layer=FrozenBatchNorm2d,
                replace_stride_with_dilation=[False, False, dilated],
            )  # fmt: skip
            self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1)
            self.stem.requires_grad_(False)
            self.middle = nn.Sequential(net.layer2, net.layer3)
            self.last, self.dilated = net.layer4, dilated
            width = 2048 if dilated else 1024
            self.rpn = rpn.RPNHead(width, 15)
            self.box = faster_rcnn.TwoMLPHead(2048 * 49, 1024) if dilated else None
            self.out = faster_rcnn.FastRCNNPredictor(1024 if dilated else 2048, 81)

        def forward(self, images: Any, pooled: Any) -> Any:
            features = self.middle(self.stem(images))
            features = self.last(features) if self.dilated else features
            objects, boxes = self.rpn([features])
            found = self.box(pooled) if self.box else self.last(pooled).mean((2, 3))
            return sum(part.mean() for part in (*objects, *boxes, *self.out(found)))

    with torch.device("meta"):
        if kind.startswith("RetinaNet"):
            return Pyramid(), [images]
        if "FPN" in name:
            pooled = botec.Input("R", 256, 7, 7, name="pooled")
            return Pyramid(), [images, pooled]
        sizes = (2048, 7, 7) if "DC5" in name else (1024, 14, 14)
        return Single(), [images, botec.Input("R", *sizes, name="pooled")]


def detection(line: Mapping[str, str]) -> list[int]:
    """Two images of 800 x 1344 a device, 512 proposals each, SGD with momentum."""
    module, inputs = detector(line["subsection"], line["name"].partition(",")[0])
    rest = {"R": 1024} if len(inputs) > 1 else {}
    program = botec.read(
        module, *inputs, optimizer="sgd-momentum", device="v100-sxm2-16gb", B=2, **rest
    )
    return usage(program)


def detection_rows() -> Iterator[Row]:
    for line in data("detectron2.csv"):
        key = f"{line['subsection']} {line['name'].partition(',')[0]}"
        key = key.replace("Cityscapes & Pascal VOC Baselines", "Faster R-CNN:")
        found = used(f"detectron2 {key}", lambda line=line: detection(line))
        what = f"{key} {line['lr_sched']}"
        yield row(what, float(line["train_mem_GB"]), found, 0, GIB)


# -- torchtitan ------------------------------------------------------------------------------------

LLAMA_8B = (
    "transformers:llama?hidden_size=4096,intermediate_size=14336,num_hidden_layers=32,"
    "num_attention_heads=32,num_key_value_heads=8,vocab_size=128256"
)


def sharded(line: Mapping[str, str], checkpoint: bool) -> list[int]:
    """16 bytes a parameter over all devices, and the activations of the tokens one of them has."""
    split = re.search(r"CP (\d+)", line["parallelism"])
    tokens = int(re.match(r"\d+", line["seq_len"])[0]) // (int(split[1]) if split else 1)
    program = botec.read(
        LLAMA_8B, precision="bf16", optimizer=None, device="h100-sxm", checkpoint=checkpoint,
        B=int(line["local_batch_seqs"]), S=tokens,
    )  # fmt: skip
    count = sum(one.tensor.elements for one in program.parameters)
    activations = endless(program, tuple(program.asked.items())).reserved - 4 * count
    return [0, 16 * count // int(line["gpus"]) + activations]


def torchtitan_rows() -> Iterator[Row]:
    for line in data("torchtitan.csv"):
        if not line["peak_memory_GiB_per_gpu"]:
            continue
        full = line["activation_checkpointing"] == "full"
        key = f"{line['table']} {line['row']}"
        measured = float(line["peak_memory_GiB_per_gpu"])
        what = (
            f"{line['model']}, {key}, {line['gpus']} GPUs, {line['seq_len'][:6].strip(' (')} tokens"
        )
        if "8B" not in line["model"]:
            yield row(what, measured, "parted over tensors and stages too", 1, GIB)
            continue
        split = re.search(r"CP (\d+)", line["parallelism"])
        parts = f"{line['seq_len'][:6]} {split and split[1]} {line['gpus']}"
        ends = [
            used(
                f"torchtitan {parts} {checkpoint}", lambda line=line, c=checkpoint: sharded(line, c)
            )
            for checkpoint in ((True,) if full else (True, False))
        ]
        if full or any(isinstance(end, str) for end in ends):
            yield row(what, measured, ends[0], 1, GIB)
            continue
        low, high = (end[1] / GIB for end in ends)
        note = f"between {low:.1f} (every block recomputed) and {high:.1f} (nothing recomputed)"
        yield row(what, measured, note, 1, GIB)


def section() -> str:
    """All four sources, one table each."""
    parts = []
    for title, text, rows, unit in SOURCES:
        parts.append(f"### {title}\n\n{text}\n\n{shown(list(rows()), unit)}")
    return "\n\n".join(parts)


SOURCES: tuple[tuple[str, str, Callable[[], Iterator[Row]], str], ...] = (
    (
        "BERT, Hugging Face's documentation: training",
        "BERT-large on a V100 of 16 GB, what NVML shows less the 1,343 MiB of context "
        "that the source gives, beside what botec's allocator reserves. Versions are not stated. "
        "The step is that of the Trainer of its time: the optimizer loops over the weights, and "
        "gradients are set to zero in place, so that they stand beside the activations. What is "
        "left lacks with the batch and is about 376 MiB an example in fp32, as much as one more "
        "array of attention scores in each of the 24 layers would be; no kernel that keeps one was "
        "found.",
        bert_rows,
        "MiB",
    ),
    (
        "BERT, Hugging Face's documentation: inference",
        "torch 1.4 on a TITAN RTX, a batch of 8. The measured bytes have a context in them that "
        "the source does not tell, so what stands here is how much more each row takes than the "
        "row of 8 tokens; small growths are of the size of the allocator's segments (2 and 20 "
        "MiB).",
        bert_growth,
        "MiB",
    ),
    (
        "LitGPT's resource tables",
        "One A100 of 40 GB, bfloat16, max_memory_allocated in 10⁹ bytes, beside the same sum of "
        "botec's, for transformers' network of the same sizes with peft's LoRA of rank 8 on "
        "queries and values. LitGPT forms its loss from chunks of 128 tokens; botec's step ends in "
        "the logits' mean. Attention's fused kernels are those of torch 2.13, not of 2.1. Four-bit "
        "weights are taken by their stored bytes; what their kernels unpack for a moment, and what "
        "loading and packing took before, is not in the prediction, and max_memory_allocated has "
        "both: these rows err most, the more the smaller the model is. Inference in bfloat16 is "
        "met to the printed digit.",
        lit_rows,
        "GB",
    ),
    (
        "detectron2's model zoo",
        "Two images a V100, SGD with momentum, max_memory_allocated in GiB. botec reads the dense "
        "part of each detector at 800 x 1344, built of torchvision's backbones, pyramids and "
        "heads, with 512 pooled proposals an image for the box head. What depends on data is not "
        "in it: matching anchors with boxes, the losses on every anchor (RetinaNet's focal loss on "
        "two images and 80 classes forms several arrays of 129 MB), pooling and its gradient. "
        "cuDNN's workspaces are not in it either. So every error but C4's, where the last stage "
        "runs on the pooled proposals and outweighs the rest, is a lack.",
        detection_rows,
        "GiB",
    ),
    (
        "torchtitan's benchmarks",
        "Llama 3.1 8B sharded over H100s; reserved bytes. botec counts one device, so the states "
        "are 16 bytes a parameter over all devices and the activations those of the tokens that "
        "one device has, in bfloat16. Not in it: the layers gathered whole for their turn, "
        "the float8 copies, what torch.compile fuses, and the logits in 32 bits (15.7 GiB for "
        "32,768 tokens). Selective checkpointing, which keeps some ops' results of every "
        "block, stands between nothing recomputed and every block recomputed.",
        torchtitan_rows,
        "GiB",
    ),
)
