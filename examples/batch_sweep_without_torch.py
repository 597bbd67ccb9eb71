"""Which batch still fits into 100 MiB? Read once, then asked for a thousand batches at a time.

Reading needs torch; the program that comes out does not. Its memory peak is the maximum of a few
polynomials in B, which are evaluated on whole arrays.
"""

import numpy as np

import botec

program = botec.read("mlp:784-512-512-10", optimizer="adam", B=32)
pieces = botec.memory(program).formula()
print("the peak in bytes is the largest of", *pieces, sep="\n  ")

batches = np.arange(2, 16_385)
peaks = np.max([piece.at(B=batches) for piece in pieces], axis=0)
for batch in (32, 1024, 16_384):
    print(f"B={batch}: {peaks[batch - 2]:,} bytes")
print("the largest batch that fits:", batches[peaks <= 100 * 2**20].max())
