"""Contracts are the rules that every part of a kind keeps, whatever it computes, as checks without a test framework.

The tests run them over every registered part, `cnntrain selftest --part FILE` over those of one file. A check is a
function that raises AssertionError saying what does not hold. A module's CHECKS, all of its kind, are given a part with
settings of its examples, or what its `subjects` gives; its OF_CLASS, where it has them, the class.
"""
