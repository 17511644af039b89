"""The projects that a fresh installation starts with, made from what is installed anyway: nothing is downloaded."""
