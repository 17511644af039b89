"""The seven steps of a round, one a file, each a function of the round's Work. Each may be run again at any time."""
