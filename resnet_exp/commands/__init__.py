"""One program with all commands: their list, what a mistyped one is answered, and what a shell completes."""
