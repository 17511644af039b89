"""Encoders of texts, one family a file."""
