"""Everything a config can name: a folder for each kind, a file for each noun."""
