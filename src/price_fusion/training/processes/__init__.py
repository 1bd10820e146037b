"""One training by several processes in step: their launchers and workers."""
