"""What a model does, as figures and as one page. Figures say for themselves what they show: ``described.py``."""
