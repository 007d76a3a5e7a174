"""Runs usher and its peers as whole processes against one endpoint, and measures the cost."""
