"""From a folder that someone has to an environment of ``conf/``: what is looked at, guessed, and written."""
