"""What speaks to Slurm from outside Python: batch scripts, and the one-machine test cluster in `slurm.testbed`.

Part of the checkout, not of the wheel.
"""
