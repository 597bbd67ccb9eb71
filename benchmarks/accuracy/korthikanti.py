"""Korthikanti et al. 2022: activations of a transformer block, in symbols and beside figure 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

import botec
from benchmarks.accuracy.rows import data, error, summary, table
from botec.poly import Poly, as_poly

ORDER = 20
TITLE = "Activations of a transformer block (Korthikanti et al. 2022, table 2 and figure 1)"
DEVICE = "cuda:80"
MODES = {"none": "tensor parallel", "seqsel": "tensor and sequence parallel, selective recomputing"}


class Block(nn.Module):
    """A block of GPT's form as Megatron writes it: tokens first, one product for q, k and v."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head = heads, width // heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` is (tokens, examples, width)."""
        tokens, examples, width = x.shape
        parts = self.qkv(self.before(x)).view(tokens, examples * self.heads, 3 * self.head)
        query, key, value = (part.transpose(0, 1) for part in parts.split(self.head, dim=-1))
        empty = query.new_empty(examples * self.heads, tokens, tokens)
        scores = torch.baddbmm(empty, query, key.transpose(1, 2), beta=0.0, alpha=self.head**-0.5)
        chosen = functional.dropout(functional.softmax(scores, -1), 0.1, self.training)
        found = torch.bmm(chosen, value).transpose(0, 1).reshape(tokens, examples, width)
        x = x + functional.dropout(self.out(found), 0.1, self.training)
        inner = self.narrow(functional.gelu(self.wide(self.after(x))))
        return x + functional.dropout(inner, 0.1, self.training)


def of_one_block(width: int, heads: int) -> Poly:
    """Bytes that one block keeps for the backward pass, in 16 bits: three blocks less two."""
    saved = []
    for blocks in (2, 3):
        chain = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        program = botec.read(
            chain, botec.Input("S", "B", width), precision="bf16", optimizer=None, device=DEVICE,
            S=24, B=3,
        )  # fmt: skip
        kept = (
            as_poly(one.bytes) for one in program.streams[0].storages if one.role == "activation"
        )
        saved.append(sum(kept, as_poly(0)))
    return saved[1] - saved[0]


def coefficients(width: int, heads: int) -> tuple[int, int, list[str]]:
    """The factors of B·S and of B·S², and what else there is."""
    found = of_one_block(width, heads).terms
    linear, square = (("B", 1), ("S", 1)), (("B", 1), ("S", 2))
    rest = [str(Poly({key: value})) for key, value in found.items() if key not in (linear, square)]
    return found.get(linear, 0), found.get(square, 0), rest


def in_symbols() -> tuple[str, bool]:
    """The formula of a block, in h and a, from three shapes; whether it is the paper's + 16·s·b."""
    shapes = ((64, 2), (128, 2), (128, 4))
    found = {shape: coefficients(*shape) for shape in shapes}
    (first, square, rest), (wider, _, _), (_, more, _) = found.values()
    per_width = (wider - first) // 64
    alone = first - 64 * per_width
    per_head = (more - square) // 2
    exact = all(
        (linear, squared, left) == (per_width * h + alone, per_head * a, rest)
        for (h, a), (linear, squared, left) in found.items()
    )
    text = f"{per_width}·s·b·h + {per_head}·a·s²·b + {alone}·s·b" + "".join(f" + {r}" for r in rest)
    return text, exact and (per_width, per_head, alone, rest) == (34, 5, 16, [])


def figure_rows() -> list[dict[str, Any]]:
    """Figure 1: activations per GPU, read off the plot by others, beside the counted block."""
    found = []
    for row in data("korthikanti_figure1.csv"):
        s, b, h, a = (int(row[key]) for key in ("seq_len", "micro_batch", "hidden", "attn_heads"))
        layers, t = int(row["n_layers"]), int(row["tensor_parallel"])
        counted = of_one_block_at(h, a, s, b)
        shared = 10 * s * b * h + 16 * s * b
        split = counted - shared
        if row["mode"] == "seqsel":
            value = (counted - 5 * a * s * s * b) / t * layers
        else:
            value = (shared + split / t) * layers
        p, m = int(row["pipeline_parallel"]), int(row["interleaving_stages"])
        value *= 1 + (p - 1) / (p * m) if m > 1 else 1
        found.append({**row, "predicted": value / 2**30})
    return found


def of_one_block_at(h: int, a: int, s: int, b: int) -> int:
    """The counted formula at a point: linear in the width, in the heads apart (see above)."""
    return 34 * s * b * h + 5 * a * s * s * b + 16 * s * b


def section() -> str:
    """The formula of a block, term by term, and the figure's rows."""
    text, same = in_symbols()
    rows = figure_rows()
    pairs = [(row["predicted"], float(row["value"])) for row in rows]
    cells = [
        (
            row["model"], MODES[row["mode"]], row["value"], f"{row['predicted']:.2f}",
            error(row["predicted"], float(row["value"])),
        )
        for row in rows
    ]  # fmt: skip
    verdict = (
        "which is the paper's `s·b·h·(34 + 5·a·s/h)` and `16·s·b` beside it: the mean and the "
        "reciprocal deviation that each of the two norms keeps for every token in 32 bits, which "
        "the paper leaves out as small."
        if same
        else "which is NOT the paper's `s·b·h·(34 + 5·a·s/h)`."
    )
    return "\n".join(
        [
            "A block of GPT's form is read in bf16 with the kernels of an A100, in chains of two "
            "and of three, at three widths and numbers of heads; botec's formula of what the third "
            "block keeps for the backward pass is, in bytes,",
            "",
            f"    {text}",
            "",
            verdict,
            "",
            table(
                ("what is kept", "bytes"),
                [
                    ("inputs of the two norms", "2·s·b·h each"),
                    ("means and reciprocal deviations of the norms", "8·s·b each"),
                    ("input of the q, k, v product; q, k and v", "2·s·b·h; 6·s·b·h"),
                    ("softmax; its dropout's mask; what that gives", "2·a·s²·b; a·s²·b; 2·a·s²·b"),
                    ("input of the output product; mask of its dropout", "2·s·b·h; s·b·h"),
                    ("input of the wide product; of GELU; of the narrow one", "2, 8, 8·s·b·h"),
                    ("mask of the last dropout", "s·b·h"),
                ],
            ),
            "",
            "Figure 1 (GiB per GPU, read off the plot and transcribed by calculon), with the same "
            "formula parted over 8 GPUs as the paper parts it (its table 2: `10·s·b·h` of the "
            "block are on every GPU without sequence parallelism; its section 4.2.3: with p stages "
            "of m interleaved parts the first stage keeps 1 + (p - 1)/(p·m) as much). "
            f"{summary(pairs)}.",
            "",
            table(("model", "mode", "figure", "predicted", "error"), cells),
        ]
    )
