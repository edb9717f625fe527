"""Bytes to pictures, records and sounds, and their cache."""
