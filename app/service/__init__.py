"""What the product does, without HTTP and without knowing which store or queue it runs on."""
