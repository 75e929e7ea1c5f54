"""What every package may import: errors, the console, processes, files. Standard library, and pynvml for devices."""
