"""All commands: their list, near ones for a mistyped one, what a shell completes."""
