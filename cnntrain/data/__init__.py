"""Samples out of files: loader, manifest, fetch, recognition."""
