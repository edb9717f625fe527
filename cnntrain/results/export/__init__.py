"""Export writes a trained network for other programs: its trace, and one file per format."""
