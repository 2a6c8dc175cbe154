"""From a plan to frames: conditions, the walk from noise to a latent, and its decoding.

`plan.py` loads no torch; the rest does. No file leaves this room: `produce.py` writes them, and
evaluation looks at frames in memory.
"""
