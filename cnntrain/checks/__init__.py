"""Checks answer what is asked before training: is it right, what will it take, where to begin."""
