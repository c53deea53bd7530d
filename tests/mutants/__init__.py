"""Takes each guard out of the code in turn, and requires that a test notices.

`mutant.py` says what a mutant is, the `of_….py` list them, `trial.py` tries one in a copy of the packages, `witness.py` is the
pytest plugin that sees how the trial ends, and `__main__.py` tries them all.
"""
