"""One strategy a file; the registry finds them here. Modules that begin with an underscore are helpers."""
