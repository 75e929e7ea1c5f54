"""What users type: reading command lines, completing them, and what is said of words that are wrong."""
