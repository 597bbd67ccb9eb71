"""Real steps under a limit on the process's memory: exit 0 where they fit, 3 where memory ends.

    python limited_run.py NETWORK EXAMPLES BYTES

The limit is RLIMIT_AS, which the kernel keeps: BYTES above what the process has mapped before the
network is made, so an allocation fails as it does on a full device. Every tensor is mapped by
itself (the caller sets MALLOC_MMAP_THRESHOLD_), so freed memory goes back at once and no cache or
heap blurs the edge. A count of tensor bytes would be botec's own idea of memory; this is not.
"""

from __future__ import annotations

import resource
import sys

import torch
from torch import nn

WIDTH = 2**18


class Waves(nn.Module):
    """Pointwise layers on rows of a mebibyte."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(WIDTH)) for _ in range(6)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for scale in self.scales:
            x = torch.tanh(x * scale)
        return x


class Layers(nn.Module):
    """Linear layers and norms between 2,048 rows for each example."""

    def __init__(self) -> None:
        super().__init__()
        parts = [nn.Linear(128, 128) if k % 2 else nn.LayerNorm(128) for k in range(10)]
        self.parts = nn.Sequential(*parts, nn.GELU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts(x)


NETWORKS = {"waves": (Waves, (WIDTH,)), "layers": (Layers, (2048, 128))}


def mapped() -> int:
    """Bytes of address space the process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def steps(name: str, examples: int, limit: int | None) -> None:
    """Two training steps with Adam, each tensor of a step let go at its end."""
    if limit is not None:
        top = mapped() + limit
        resource.setrlimit(resource.RLIMIT_AS, (top, top))
    kind, shape = NETWORKS[name]
    network = kind()
    optimizer = torch.optim.Adam(network.parameters())
    x = torch.ones(examples, *shape)
    for _ in range(2):
        network(x).mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.autograd.set_multithreading_enabled(False)
    network, many, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    steps(network, 1, None)  # libraries take what they take once
    try:
        steps(network, many, most)
    except RuntimeError as error:
        sys.exit(3 if "allocate memory" in str(error) else str(error))
    except MemoryError:
        sys.exit(3)
