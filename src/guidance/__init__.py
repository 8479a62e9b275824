"""From an image to a gradient: what a frozen text-to-image prior says about it, and how a loss uses that."""
