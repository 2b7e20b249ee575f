"""The pipeline's infrastructure as a CDK app: it imports the package, and the package never imports it."""
