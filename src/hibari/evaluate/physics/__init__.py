"""Measures of physics: what is hidden stays, what falls bounces, two things keep their sides, a start image is kept.

A measure is a `Probe`: what is asked, how what the frame judge saw is scored, and clips that must score low. Only the
start image has a form of its own: it is held against the VAE and not judged.
"""
