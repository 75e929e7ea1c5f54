"""What several tests share: fixtures, made-up faults, and services that run on this machine."""
