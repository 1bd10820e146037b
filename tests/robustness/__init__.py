"""What kills, damage and random configurations do to the project: long runs as commands, short forms of them as tests.

    python -m tests.robustness.kills --kills 120
    python -m tests.robustness.mutations --count 2000
    python -m tests.robustness.csv_mutations
    python -m tests.robustness.pickle_mutations --count 10000
    python -m tests.robustness.format_mutations --count 2000
    python -m tests.robustness.fuzzing --count 1000

Run them from the repository's root. Each ends in a section of docs/reliability.md (``benchmarks/report.py``).
"""
