"""Training: objectives, optimizer, checkpoints, the loop. It renders no worlds and samples no videos itself."""
