"""The machine that a run is on: threads, memory, ffmpeg, start-up, noise of dependencies."""
