"""Deploying the pipeline with CloudFormation."""
