# CRIS with aligned pixel centres: area target, align_corners=False, threshold 0.5.
_base_ = './cris.py'
model = dict(decode='aligned')
