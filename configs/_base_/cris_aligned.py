# CRIS with pixel centres kept in place: area target, no aligned corners, threshold 0.5.
_base_ = './cris.py'
model = dict(decode='aligned')
