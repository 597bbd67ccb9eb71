"""botec's timelines beside real training steps on this CPU, op by op.

    python benchmarks/real_steps.py [-o docs/real-steps.md] [--resume] [--only TEXT] [--so-far]

Every step of ``tests/corridor/cases.py`` is read by botec and really run; live tensor bytes are
compared when each op has returned, as the CPU allocator's own events tell them. One process for
each network, one after the other; what is done is kept in ``build/real_steps.jsonl``, from which
``--resume`` goes on (``--so-far`` runs none and writes the page of what is there).
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corridor.cases import Case

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "real_steps.jsonl"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
LEAST = 0.96  # the share of real ops with a counterpart that the tests ask for
Row = dict[str, Any]
HEAD = """# Timelines beside real steps

Each step below was read by botec, on shapes alone, and really run on a CPU with real numbers; both
give the bytes of tensors that are alive when an op has returned, in a step of a run that goes on.
The real ones are the CPU allocator's own events, as `torch.profiler` tells them. *Ops* are those
that stand on both sides in the same order, and their share of all real ones; what stands on one
side only makes no tensor that stays (a constant written with `fill`, a view that only one side
sees). *Apart* is the largest difference at any of them: up to {scalars} B are single numbers that
come and go inside C++, where no op is seen. *Peak* is botec's, beside the real one between ops and
the real one with what kernels take while they run (oneDNN's reordered weights, above all): that is
this processor's own affair, and no tensor of the model's.

Made by `python benchmarks/real_steps.py -o docs/real-steps.md` on {date} with {packages},
Python {python}.

{summary}
"""
COLUMNS = ("step", "ops", "apart", "botec's peak", "real, between ops", "error", "real, in kernels",
           "most taken in a kernel", "exceptions")  # fmt: skip


def cases() -> dict[str, Case]:
    """The steps of the tests, by name."""
    from corridor.cases import CASES

    return CASES


def judged(case: Case) -> Row:
    """One step, read and run."""
    import botec

    found, program, real = case.run()
    return {
        "name": case.name,
        "ops": len(found.pairs),
        "share": found.share,
        "numbers": case.numbers,
        "apart": [one for one in found.apart(0) if one[0] not in case.known],
        "known": dict(Counter(op for op, *_ in found.apart(case.numbers) if op in case.known)),
        "whole": case.whole,
        "ours": botec.memory(program).fullest.bytes,
        "between": real.peak_at_boundaries,
        "peak": real.peak,
        "scratch": list(real.largest_scratch),
    }


def short(row: Row) -> Row:
    """A row with its largest difference alone."""
    most = max(row["apart"], key=lambda one: abs(one[1] - one[2]), default=["", 0, 0])
    return {**row, "apart": [most[0], most[1] - most[2]]}


def run_network(network: str) -> None:
    """All steps of a network in this process, one JSON line each."""
    for case in cases().values():
        if case.network == network:
            try:
                row = short(judged(case))
            except Exception as error:
                row = {"name": case.name, "failed": f"{type(error).__name__}: {error}"}
            print(json.dumps(row), flush=True)


def run(wanted: dict[str, Case]) -> None:
    """A process for each network of the wanted steps; its rows are kept as they come."""
    for network in dict.fromkeys(case.network for case in wanted.values()):
        print(f"real steps: {network}", file=sys.stderr, flush=True)
        words = [sys.executable, __file__, "--network", network]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        rows = [line for line in done.stdout.splitlines() if line.startswith('{"name"')]
        with KEPT.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in rows)
        if done.returncode:
            print(done.stderr[-500:], file=sys.stderr)


def kept() -> dict[str, Row]:
    """The rows there are, by name; the last of each."""
    if not KEPT.exists():
        return {}
    rows = [json.loads(line) for line in KEPT.read_text("utf-8").splitlines()]
    return {row["name"]: row for row in rows}


# -- the page -------------------------------------------------------------------------------------


def equal(row: Row) -> bool:
    """Whether the live bytes are equal at every op, or the peak of a whole layer's kernel is."""
    if "failed" in row:
        return False
    if row["whole"]:
        return abs(row["ours"] - row["peak"]) <= row["numbers"]
    return abs(row["apart"][1]) <= row["numbers"] and row["share"] >= LEAST


def page(rows: dict[str, Row]) -> str:
    """The page in Markdown."""
    from corridor.cases import GROUPS
    from corridor.stepping import SCALARS

    sections = []
    for title, group in GROUPS.items():
        there = [rows[case.name] for case in group() if case.name in rows]
        if there:
            sections.append(f"## {title}\n\n{table(there)}")
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    head = HEAD.format(
        scalars=SCALARS, date=date.today().isoformat(), packages=packages,
        python=platform.python_version(), summary=summary(rows.values()),
    )  # fmt: skip
    return "\n\n".join([head.strip(), *sections, causes(rows.values())]) + "\n"


def summary(rows: Iterable[Row]) -> str:
    """How many are equal, and how near the peaks lie."""
    rows = list(rows)
    failed = [row["name"] for row in rows if not equal(row)]
    exact = sum(equal(row) and not row["known"] for row in rows)
    ran = [row for row in rows if "failed" not in row]
    apart = [row for row in ran if not row["whole"]]
    same = sum(abs(row["ours"] - row["between"]) <= row["numbers"] for row in apart)
    inside = [error(row, "peak") for row in ran]
    words = [
        f"**{exact} of {len(rows)} steps are equal at every op**,",
        f"{len(rows) - exact - len(failed)} more but for ops whose cause is named below;",
        f"{len(failed)} differ{': ' + ', '.join(failed) if failed else ''}.",
        f"{sum(row['ops'] for row in ran):,} ops are compared. The peak between ops is equal in",
        f"{same} of {len(apart)} (whole layers that are one op aside). With what kernels take, the",
        f"peak is within 1 % in {sum(abs(one) <= 0.01 for one in inside)} of {len(ran)}, and at",
        f"worst {-100 * min(inside, default=0):.1f} % below the real one.",
    ]
    return " ".join(words)


def error(row: Row, key: str) -> float:
    return float(row["ours"] / row[key] - 1)


def table(rows: list[Row]) -> str:
    """The rows of a group."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|" + "---:|" * (len(COLUMNS) - 2) + "---|"]
    return "\n".join([*lines, *(f"| {' | '.join(cells(row))} |" for row in rows)])


def cells(row: Row) -> Iterator[str]:
    """One row: what fits into a cell."""
    yield row["name"]
    if "failed" in row:
        yield from ("?",) * (len(COLUMNS) - 2)
        yield row["failed"].replace("|", "/")[:200]
        return
    yield "" if row["whole"] else f"{row['ops']} ({100 * row['share']:.1f} %)"
    yield "" if row["whole"] else f"{abs(row['apart'][1])} B"
    yield f"{row['ours']:,}"
    yield "" if row["whole"] else f"{row['between']:,}"
    yield f"{error(row, 'peak' if row['whole'] else 'between'):+.3%}".replace("%", " %")
    yield f"{row['peak']:,}"
    op, taken = row["scratch"]
    yield f"{op.removeprefix('aten::')} {taken:,}" if taken else ""
    yield exceptions(row)


def exceptions(row: Row) -> str:
    """What differs with a cause, and what differs without one."""
    said = [f"{op} ({times}×)" for op, times in row["known"].items()]
    if row["whole"]:
        said.append(f"{row['whole']}: peaks alone")
    elif not equal(row):
        said.append(f"**{row['apart'][0]}**")
    return ", ".join(said)


def causes(rows: Iterable[Row]) -> str:
    """Why the ops named as exceptions differ."""
    from corridor.cases import CASTS, NUMBERS, STOPPED

    met = {op for row in rows for op in row.get("known", ())}
    lines = [f"* `{op}`: {why}." for op, why in {**CASTS, **STOPPED}.items() if op in met]
    if any(row.get("whole") for row in rows):
        lines.append(
            "* Whole layers in inference: `torch.nn` runs an attention (or an encoder's layer) as"
            " one fused op, in which the profiler sees no op; botec's peak is held against the real"
            " one with what is taken inside."
        )
    more = ", ".join(f"{name} ({most} B)" for name, most in NUMBERS.items())
    lines.append(
        "* More single numbers than elsewhere: Python numbers that a tensor is multiplied with are"
        f" kept for the backward inside C++, 8 B each: {more}."
    )
    return "\n".join(["## Exceptions and their causes", "", *lines])


def main() -> int:
    """Run what is left, write the page; 1 where a step differs without a cause."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="the page; printed where none is named")
    parser.add_argument("--resume", action="store_true", help="go on from what is kept")
    parser.add_argument("--so-far", action="store_true", help="run none")
    parser.add_argument("--only", default="", metavar="TEXT", help="steps with this in their name")
    parser.add_argument("--network", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.network:
        run_network(given.network)
        return 0
    KEPT.parent.mkdir(exist_ok=True)
    if not (given.resume or given.so_far or given.only):
        KEPT.unlink(missing_ok=True)
    known = kept()
    if not given.so_far:
        left = {n: c for n, c in cases().items() if given.only in n and n not in known}
        run(left)
    rows = {name: row for name, row in kept().items() if name in cases()}
    text = page(rows)
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    else:
        print(text)
    return int(not all(map(equal, rows.values())))


if __name__ == "__main__":
    raise SystemExit(main())
