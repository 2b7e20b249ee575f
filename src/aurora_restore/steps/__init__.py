"""The nine steps, one module each: observe, decide, act, record. Called by the state machine until they are done."""
