"""What a configuration may hold: checked before anything starts."""
