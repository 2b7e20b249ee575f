"""The restored database itself: who can log in, and what they may do there."""
