_base_ = [
    '../_base_/cris_aligned.py', '../_base_/partimagenet_refer_aligned.py', '../_base_/schedule_aligned.py',
    '../_base_/default_runtime.py'
]
