"""The only package that speaks boto3. What AWS refuses becomes one of our errors in ``door``, and nowhere else."""
