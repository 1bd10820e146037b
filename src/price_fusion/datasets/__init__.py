"""Kedro dataset classes for what the library reads and writes."""
