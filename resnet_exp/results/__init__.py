"""What is known of finished runs: pure functions, no drawing."""
