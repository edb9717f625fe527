"""Export writes a trained network for other programs: its trace, and one file per format."""

SUFFIXES = {"page": ".html", "numpy": ".py", "onnx": ".onnx", "safetensors": ".safetensors"}  # of each format's files
