_base_ = [
    './_base_/cris.py', './_base_/partimagenet_refer.py', './_base_/schedule.py', './_base_/default_runtime.py'
]
