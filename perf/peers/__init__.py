"""The service beside other ways to do the same work, in one run on one machine: `make peers`, and perf/PEERS.md.

A *peer* is a server, or a pool of processes, in a file of its own here. A *contestant* is a peer with one way to
encode. In a *work* all contestants that can do it take turns with the same *pictures*, round by round, and the order
rotates.
"""
