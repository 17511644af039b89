"""Other libraries' strategies under `library:name`. The registry lists them; a library is imported when one is used."""
