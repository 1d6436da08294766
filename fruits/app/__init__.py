"""`fruits app`: a small page to photograph a fruit and see what it is, on this machine and for this machine."""
