"""Benchmarks of the parts, whose costs are told as multiples of a fixed work done in turn with them: `make bench`.

A machine is faster or slower from one hour to the next, and so are both sides of such a ratio. perf/README.md tells how
ratios are compared with the saved ones, and with those of another revision.
"""
