"""Export writes a trained network for other programs: a drawing of it as operations, and one file per format."""
