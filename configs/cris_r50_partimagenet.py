_base_ = ['./_base_/cris_exact.py', './_base_/default_runtime.py']
