"""Plays annotators whose answers are known through the running application: what would a strategy have saved here?"""
