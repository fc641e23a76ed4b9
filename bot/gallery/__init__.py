"""Every state a reply can be in, drawn on one page, for whoever designs or reviews it."""
