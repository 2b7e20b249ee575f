"""Restore an Amazon Aurora cluster from a snapshot of another, as one request."""

__version__ = "0.1.0"
