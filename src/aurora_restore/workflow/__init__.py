"""The state machine: one definition for AWS, the embedded account and the tests."""
