"""What CUDA's kernels take for themselves inside one op: arithmetic on calls, rule by rule."""
