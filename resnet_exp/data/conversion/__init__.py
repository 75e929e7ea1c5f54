"""The conversion of an image folder, whatever the format: workers, encoding, manifests, the cache."""
