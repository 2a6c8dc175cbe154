"""From a plan to frames: conditions, the walk from noise to a latent, and its decoding.

`plan.py` loads no torch; the rest does. Nothing outside `produce.py` imports this room.
"""
