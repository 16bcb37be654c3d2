"""Weights from elsewhere: read them safely, rename them, and lose none."""
