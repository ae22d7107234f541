"""OpenAPI documents to tools."""
