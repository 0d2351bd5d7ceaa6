"""Speed and memory. Nothing here is a test, and no test looks at a time."""
