"""The command line: parse, print, exit. No logic."""
