"""Starts and watches the processes that make up the application."""
