"""What the machine knows: encoders, linear heads and their measures. No Django, no acquisition.

Importing this package or listing its registry never imports torch; building a model does.
"""
