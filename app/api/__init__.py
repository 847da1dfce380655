"""HTTP: routes, forms, keys and limits at the door, replies."""
