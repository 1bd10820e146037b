"""One folder a stage: ``nodes.py`` holds pure functions, ``pipeline.py`` wires them."""
