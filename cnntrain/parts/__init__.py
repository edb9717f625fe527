"""Everything a config can name: a folder a kind, a file a noun."""
