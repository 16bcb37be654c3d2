"""Benchmarks of the model and the data loader; ``tools/benchmark*.py`` print them."""
