"""HTTP servers on this machine: who may send requests, their limits, and the end by signals."""
