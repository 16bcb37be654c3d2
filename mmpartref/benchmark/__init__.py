"""How fast the model is, part by part and beside the published code; ``tools/benchmark.py`` prints it."""
