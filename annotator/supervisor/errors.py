"""What can go wrong while the application starts."""


class StartError(Exception):
    """The application cannot start; the message says why and what to do."""
