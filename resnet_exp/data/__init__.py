"""Data formats: `formats` lists them, `contract` says what a loader must do."""
