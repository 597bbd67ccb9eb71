"""What does my own network multiply, and how does that grow with the batch and the length?"""

import torch
from torch import nn

import botec


class Tagger(nn.Module):
    """Characters in, a tag for each out."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 64)
        self.attention = nn.MultiheadAttention(64, num_heads=4, batch_first=True)
        self.tags = nn.Linear(64, 12)

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        embedded = self.embedding(characters)
        mixed, _ = self.attention(embedded, embedded, embedded, need_weights=False)
        return self.tags(mixed)


program = botec.read(Tagger(), botec.Input("B", "S", dtype="int64", below=256), B=8, S=100)
forward = botec.count(program).total("multiplications", ["forward"])
print("multiplications forward:", forward.value)
for length in (100, 200, 400):
    print(f"S={length}: {forward.at(B=8, S=length):,}")
