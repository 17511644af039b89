"""Encoders of images, one family a file."""
