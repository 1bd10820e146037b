"""What happens around each run, one concern a module. ``settings.py`` lists the hooks in their order."""
