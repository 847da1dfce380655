"""A load harness for any deployment of the service: `python -m perf.load SCENARIO`; perf/LOAD.md tells how.

A *scenario* is a list of *phases*. In a phase one or more *streams* of requests run at the same time, each with an
account and a *load*: closed (so many clients, each sending one request after another) or open (arrivals on a schedule
that waits for no answer). What is asked comes from a seeded *mix* of pictures and parameters.
"""
