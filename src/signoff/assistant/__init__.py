"""The assistant's edge: MCP in, calls out."""
