"""The config: from YAML files and `--set` overrides to one frozen `Experiment`, every mistake named with its place.

`load` reads, `dump` writes; `schema` says what there is to say, in the vocabulary of `fields`.
"""
