"""Text for people: lines, tables, help, and how a program begins and ends."""
