"""The contracts: what every part of a kind must keep, whatever it computes, as checks that need no test framework.

The tests run them over every registered part, `cnntrain selftest --part FILE` over those of one file. A check is a
function that raises AssertionError with what does not hold; a module's CHECKS are all of its kind.
"""
