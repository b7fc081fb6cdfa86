"""Published methods, one paper a folder."""
