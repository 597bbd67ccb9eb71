"""How does the memory peak grow with the batch? Read once, then asked a thousand times.

A program that has been read needs no framework: its formulas are evaluated on arrays.
"""

import numpy as np

import botec

program = botec.read("mlp:784-512-512-10", optimizer="adam")
batches = np.arange(2, 1025)
peaks = botec.memory(program).peak(B=batches)

for batch in (2, 32, 1024):
    print(f"B={batch}: {peaks[batch - 2]:,} bytes")
