"""What every package may import: errors, the console, files, locks, processes, devices, text for people."""
