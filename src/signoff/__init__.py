"""signoff: an MCP server that stops every risky call until a person has signed it off."""
