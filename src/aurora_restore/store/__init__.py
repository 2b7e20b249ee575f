"""State, audit and locks in DynamoDB: every write conditional, state and audit in one transaction."""
