"""Signed tokens: keys, minting, verification. JOSE lives only here."""
