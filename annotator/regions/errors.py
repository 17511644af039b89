class RegionError(ValueError):
    """A region that cannot be accepted; the text says why."""
