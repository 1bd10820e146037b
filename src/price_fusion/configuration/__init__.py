"""How ``conf/`` is read, and what is said of mistakes in it."""
