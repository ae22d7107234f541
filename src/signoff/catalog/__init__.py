"""The catalogue: YAML and specs to frozen tools."""
