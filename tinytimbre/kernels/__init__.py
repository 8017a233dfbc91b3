"""Compiled inner loops: sixteen signals at a time in a vector register, written in Python and compiled by Numba."""
