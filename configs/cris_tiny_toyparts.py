_base_ = [
    './_base_/cris_tiny.py', './_base_/toyparts_refer.py', './_base_/schedule_tiny.py', './_base_/default_runtime.py'
]
