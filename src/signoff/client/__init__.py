"""An MCP client for the terminal."""
