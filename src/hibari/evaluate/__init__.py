"""Measures: what a model's clips show, said by judges that learned from the worlds, and how well its VAE rebuilds.

Judges are trained on the worlds' own clips, whose truth is known, and downloaded from nowhere. Not here: speed and
memory, which `benchmarks/` measures, and whether a safety part works.
"""
