"""The sample bank and the scripted first call."""
