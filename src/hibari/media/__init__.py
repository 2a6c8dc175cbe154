"""Pictures and videos as files: probe and decode (in a child process with limits), fit, encode.

No torch and no model here: frames are numpy arrays, uint8, (height, width, 3), sRGB.
"""
