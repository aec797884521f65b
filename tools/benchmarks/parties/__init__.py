"""The other processes of a measurement, each a program of its own that is asked through its standard input.

They import nothing of `edge`, and those that run in another environment (`csms_package.py`) little else.
"""
