"""The embedded account: an AWS account on this machine whose Aurora clusters are real databases."""
